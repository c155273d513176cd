//! A mount of a specification as text.
use std::path::Path;

/// A mount of [`super::WorkloadSpec::mounts`], `SOURCE:TARGET[:OPTION,…]`. The source is the runtime's business: a path of its
/// machine, a volume by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The volume or path that is mounted.
    pub source: &'a str,
    /// The place in the workload, an absolute path.
    pub target: &'a str,
    /// The workload cannot write it.
    pub read_only: bool,
    /// How its files are labelled for SELinux; not at all if absent.
    pub relabel: Option<Relabel>,
}

/// The label that SELinux wants of files that a container may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relabel {
    /// `z`: one that several containers share.
    Shared,
    /// `Z`: one of this container alone.
    Private,
}

impl<'a> Mount<'a> {
    /// Parses a mount.
    ///
    /// # Errors
    /// The reason why the text is no mount, in words that follow the text.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        let mut parts = text.split(':');
        let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
            return Err("has no place in the workload");
        };
        let (mut access, mut relabel) = (None, None);
        for option in parts.next().into_iter().flat_map(|options| options.split(',')) {
            match option {
                "rw" | "ro" if access.is_some_and(|access| access != option) => {
                    return Err("has both 'ro' and 'rw'");
                }
                "rw" | "ro" => access = Some(option),
                "z" => relabel = Some(Relabel::Shared),
                "Z" => relabel = Some(Relabel::Private),
                _ => return Err("has an option that is not known"),
            }
        }
        if parts.next().is_some() || !Path::new(target).is_absolute() {
            return Err("does not end with an absolute path");
        }
        Ok(Self { source, target, read_only: access == Some("ro"), relabel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_has_a_source_a_place_and_perhaps_an_option() {
        let mount = |source, target, read_only| Ok(Mount { source, target, read_only, relabel: None });
        assert_eq!(Mount::parse("/srv:/data"), mount("/srv", "/data", false));
        assert_eq!(Mount::parse("/srv:/data:rw"), mount("/srv", "/data", false));
        assert_eq!(Mount::parse("claim:/data:ro"), mount("claim", "/data", true));
        let labelled = |text| Mount::parse(text).unwrap().relabel;
        assert_eq!(labelled("/srv:/data:z"), Some(Relabel::Shared));
        assert_eq!(labelled("/srv:/data:ro,Z"), Some(Relabel::Private));
        for (text, why) in [
            ("/srv", "place"),
            ("/srv:/data:rx", "option"),
            ("/srv:/data:ro,rw", "both"),
            ("/srv:/data:rw,z,ro", "both"),
            ("/srv:data", "absolute"),
            ("/srv:/data:ro:rw", "absolute"),
        ] {
            assert!(Mount::parse(text).unwrap_err().contains(why), "{text}");
        }
    }
}

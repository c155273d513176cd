//! A mount of a specification as text.
use std::path::Path;

/// A mount of [`super::WorkloadSpec::mounts`], `SOURCE:TARGET[:ro]`. The source is the runtime's business: a path of its
/// machine, a volume by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The volume or path that is mounted.
    pub source: &'a str,
    /// The place in the workload, an absolute path.
    pub target: &'a str,
    /// The workload cannot write it.
    pub read_only: bool,
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
        let read_only = match parts.next() {
            None | Some("rw") => false,
            Some("ro") => true,
            Some(_) => return Err("has an option that is not known"),
        };
        if parts.next().is_some() || !Path::new(target).is_absolute() {
            return Err("does not end with an absolute path");
        }
        Ok(Self { source, target, read_only })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_has_a_source_a_place_and_perhaps_an_option() {
        let mount = |source, target, read_only| Ok(Mount { source, target, read_only });
        assert_eq!(Mount::parse("/srv:/data"), mount("/srv", "/data", false));
        assert_eq!(Mount::parse("claim:/data:ro"), mount("claim", "/data", true));
        for (text, why) in [
            ("/srv", "place"),
            ("/srv:/data:rx", "option"),
            ("/srv:data", "absolute"),
            ("/srv:/data:ro:rw", "absolute"),
        ] {
            assert!(Mount::parse(text).unwrap_err().contains(why), "{text}");
        }
    }
}

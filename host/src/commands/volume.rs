//! The short form of a volume: `PATH[:OPTIONS]`, a file or folder of this machine that is at the same place in the workload.
//! It is recorded in the form that names both places.

/// The options that may stand behind a path.
const OPTIONS: [&str; 4] = ["ro", "rw", "z", "Z"];

/// A volume as it is recorded. A text of any other form is left as it is, and judged by the runtime.
pub(crate) fn recorded(given: &str) -> String {
    let (path, options) = match given.split_once(':') {
        None => (given, None),
        Some((path, options)) if options.split(',').all(|option| OPTIONS.contains(&option)) => {
            (path, Some(options))
        }
        Some(_) => return given.to_owned(),
    };
    if !path.starts_with('/') {
        return given.to_owned();
    }
    match options {
        None => format!("{path}:{path}"),
        Some(options) => format!("{path}:{path}:{options}"),
    }
}

#[cfg(test)]
mod tests {
    use super::recorded;

    #[test]
    fn a_path_alone_is_at_the_same_place_in_the_workload() {
        for (given, kept) in [
            ("/srv", "/srv:/srv"),
            ("/srv:ro", "/srv:/srv:ro"),
            ("/srv:ro,z", "/srv:/srv:ro,z"),
            ("/srv:/srv:ro", "/srv:/srv:ro"),
            ("/srv:/data", "/srv:/data"),
            ("/srv:rx", "/srv:rx"),
            ("claim:/data", "claim:/data"),
            ("claim", "claim"),
            ("", ""),
        ] {
            assert_eq!(recorded(given), kept);
            assert_eq!(recorded(kept), kept, "what is recorded stays");
        }
    }
}

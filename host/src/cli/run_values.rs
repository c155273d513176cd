//! Parsers for single values on the command line of `wharf run`.
use super::argument_paths::from_here;
use super::environment::text;
use std::path::Path;
use wharf_model::Result;
use wharf_sdk::Ulimit;

/// `KEY=VALUE`.
pub(super) fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it is not KEY=VALUE".to_owned()),
    }
}

/// A volume with an absolute path on this machine. A path that begins with a dot is resolved here, and one that begins with
/// the home that a shell has not put in, too. A bare word is the name of a volume.
pub(super) fn volume_from(given: &str, current_dir: &Path) -> Result<String> {
    let home = match given.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with(['/', ':'])) {
        Some(rest) => text("HOME")?.map(|home| format!("{home}{rest}")),
        None => None,
    };
    let given = home.as_deref().unwrap_or(given);
    if !given.starts_with('.') {
        return Ok(given.to_owned());
    }
    let (path, rest) = given.find(':').map_or((given, ""), |at| given.split_at(at));
    Ok(format!("{}{rest}", from_here(path, current_dir).display()))
}

/// `NAME=SOFT[:HARD]`, as `docker run --ulimit` takes it; `unlimited` and -1 are no limit.
pub(super) fn ulimit(text: &str) -> std::result::Result<(String, Ulimit), String> {
    let wrong = || "it is not NAME=SOFT or NAME=SOFT:HARD, such as nofile=4096".to_owned();
    let number = |text: &str| if text == "unlimited" { Ok(-1) } else { text.parse().map_err(|_| wrong()) };
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    if name.is_empty() {
        return Err(wrong());
    }
    Ok((name.to_owned(), Ulimit { soft: number(soft)?, hard: number(hard)? }))
}

/// A number of processors.
pub(super) fn cpus(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cpus) if cpus.is_finite() && cpus >= 0.01 => Ok(cpus),
        _ => Err("it is no number of processors, such as 1.5; the least is 0.01".to_owned()),
    }
}

/// A number of bytes with a unit, by powers of 1024: `512m`, `2g`, `1.5GiB`.
pub(super) fn size(text: &str) -> std::result::Result<u64, String> {
    let wrong = || "it is no size, such as 512m or 2g".to_owned();
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number * 1024_f64.powi(unit);
    if !(1.0..=9e18).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_of_key_and_value_needs_a_key() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("=b").is_err() && pair("a").is_err());
    }

    #[test]
    fn a_volume_that_begins_with_a_dot_begins_here() {
        let from = |given| volume_from(given, Path::new("/here")).unwrap();
        assert_eq!(from("./data:/data:ro"), "/here/data:/data:ro");
        assert_eq!(from(".:ro"), "/here:ro");
        assert_eq!(from("/a:/b"), "/a:/b");
        assert_eq!(from("data:/data"), "data:/data");
    }

    #[test]
    fn a_limit_has_one_number_or_two() {
        let read = |text| ulimit(text).map(|(name, limit)| (name, limit.soft, limit.hard));
        assert_eq!(read("nofile=1024"), Ok(("nofile".to_owned(), 1024, 1024)));
        assert_eq!(read("core=0:unlimited"), Ok(("core".to_owned(), 0, -1)));
        for wrong in ["nofile", "nofile=", "=1", "nofile=1:2:3", "nofile=many"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_size_has_a_unit() {
        for (text, bytes) in [("1024", 1024), ("512m", 512 << 20), ("2G", 2 << 30), ("1.5KiB", 1536)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "m", "0", "-1g", "1x", "nan", "inf", "1e40", "9999999t"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn processors_are_a_positive_number() {
        assert_eq!(cpus("1.5"), Ok(1.5));
        for wrong in ["", "0", "-1", "nan", "inf", "two"] {
            assert!(cpus(wrong).is_err(), "{wrong}");
        }
    }
}

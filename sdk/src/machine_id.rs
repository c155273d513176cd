//! [`machine_id`]: tells one machine from another, for the instance of a runtime whose resources belong to one machine.

/// The id of this machine, machine-id(5); where there is none, its host name, and at last `unknown`. It stays the same
/// over reboots. For a runtime's `instance`, together with whatever else tells two of its kind apart, such as the user.
#[must_use]
pub fn machine_id() -> String {
    first_of(["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname"])
        .unwrap_or_else(|| "unknown".to_owned())
}

fn first_of<const N: usize>(files: [&str; N]) -> Option<String> {
    files
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        // machine-id(5): an image that has not been started yet has this word in the file.
        .find(|id| !id.is_empty() && id != "uninitialized")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_says_nothing_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (fresh, empty, said) = (write("a", "uninitialized\n"), write("b", "\n"), write("c", "12ab\n"));
        assert_eq!(first_of(["/nowhere", &fresh, &empty, &said]).as_deref(), Some("12ab"));
        assert_eq!(first_of(["/nowhere", &fresh, &empty]), None);
        assert_eq!(machine_id(), machine_id());
    }
}

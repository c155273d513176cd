//! References to images: `[registry/]path[:tag][@digest]`. They are parsed here so that a wrong one is refused before an
//! engine is asked; each engine would report it differently.
use wharf_sdk::{Error, Result};

/// The tag of a reference without one.
const DEFAULT_TAG: &str = "latest";
/// The registry of a reference without one.
pub(crate) const DOCKER_HUB: &str = "docker.io";
/// The longest tag.
const TAG_LEN: usize = 128;

/// A valid reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// The text as it was given.
    pub(crate) text: &'a str,
    /// The registry.
    pub(crate) registry: &'a str,
    /// Whether it has a tag or a digest.
    has_version: bool,
}

impl<'a> Reference<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let wrong = |why: &str| {
            Err(Error::invalid(format!(
                "'{}' is no reference to an image: {why}; write [REGISTRY/]NAME[:TAG] or NAME@sha256:DIGEST",
                text.escape_default()
            )))
        };
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return wrong("what follows '@' is no digest");
        }
        let (path, tag) = match named.rsplit_once(':') {
            // A slash after the colon: it precedes the port of a registry, not a tag.
            Some((_, after)) if after.contains('/') => (named, None),
            Some((path, tag)) => (path, Some(tag)),
            None => (named, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return wrong("what follows ':' is no tag");
        }
        let (registry, path) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DOCKER_HUB, path),
        };
        if !is_registry(registry) {
            return wrong("what stands before the first '/' is no name of a registry");
        }
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return wrong("names of images are lowercase");
        }
        if !path.split('/').all(is_component) {
            return wrong("its name has what names of images have not");
        }
        Ok(Self { text, registry, has_version: tag.is_some() || digest.is_some() })
    }

    /// The reference with a tag. Without one, the engine would pull all tags.
    pub(crate) fn with_tag(&self) -> String {
        if self.has_version { self.text.to_owned() } else { format!("{}:{DEFAULT_TAG}", self.text) }
    }
}

/// Whether the text is a host's name or address, with or without a port; an IPv6 address must be in brackets.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    is_host
        && port
            .is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

fn is_digest(text: &str) -> bool {
    /// A digest has at least so many digits.
    const LEAST: usize = 32;
    text.split_once(':').is_some_and(|(algorithm, digits)| {
        !algorithm.is_empty()
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
            && digits.len() >= LEAST
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn is_tag(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.len() <= TAG_LEN && !text.is_empty() && !text.starts_with(['.', '-']) && text.bytes().all(fine)
}

/// Letters and digits, with separators only between them.
fn is_component(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_edge = |byte: Option<u8>| byte.is_some_and(fine);
    is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
        && text.bytes().all(|byte| fine(byte) || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::ErrorCode;

    #[test]
    fn a_reference_names_its_registry_or_docker_hub() {
        let digest = format!("time@sha256:{}", "0a".repeat(32));
        for (text, registry, pulled) in [
            ("time", DOCKER_HUB, "time:latest"),
            ("mcp/time:1.2", DOCKER_HUB, "mcp/time:1.2"),
            ("localhost:5000/time", "localhost:5000", "localhost:5000/time:latest"),
            ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000", "127.0.0.1:5000/a/b:1"),
            ("[::1]:5000/time", "[::1]:5000", "[::1]:5000/time:latest"),
            ("ghcr.io/a/time", "ghcr.io", "ghcr.io/a/time:latest"),
            (&digest, DOCKER_HUB, &digest),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((reference.registry, reference.with_tag().as_str()), (registry, pulled));
        }
    }

    #[test]
    fn an_invalid_image_reference_is_refused_with_the_valid_form() {
        for text in [
            "",
            "UPPER/x",
            "a//b",
            "a:",
            "a:b c",
            "a@sha256:00",
            "a@",
            "-a",
            "a/",
            "a\u{e4}",
            "a:.x",
            "a b",
            "-x.example/a",
            "a.example:b/c",
            "a.example:+1/c",
            "\n.:1/a",
            "[::x]:1/a",
            "..:1/a",
            ":1/a",
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{text}");
            assert!(error.message.contains("[REGISTRY/]NAME"), "{error}");
        }
    }
}

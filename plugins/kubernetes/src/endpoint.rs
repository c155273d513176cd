//! [`Endpoint`]: the recorded endpoint of a workload: the description of the access, and the namespace. Never a secret.
//!
//! `kubeconfig:FILE[:FILE]?context=NAME&namespace=NAME`, or `in-cluster:?namespace=NAME`. Characters with a meaning in this
//! form are written as `%` and two digits.
use crate::names::is_name;
use std::path::PathBuf;

const KUBECONFIG: &str = "kubeconfig:";
const IN_CLUSTER: &str = "in-cluster:";
/// The separator of files, as in `KUBECONFIG`.
const BETWEEN_FILES: char = ':';
/// The characters that are escaped.
const RESERVED: [char; 6] = ['%', '?', '&', '=', ':', '\n'];

/// The way to a cluster, and a namespace of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The way to the API server.
    pub(crate) access: Access,
    /// The namespace of all objects.
    pub(crate) namespace: String,
}

/// The way to an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// By files that describe clusters and credentials.
    Kubeconfig {
        /// The files; if several have an entry, the first counts.
        files: Vec<PathBuf>,
        /// The context to use.
        context: String,
    },
    /// By the service account of the pod that this process runs in.
    InCluster,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let namespace = escaped(&self.namespace);
        match &self.access {
            Access::InCluster => write!(f, "{IN_CLUSTER}?namespace={namespace}"),
            Access::Kubeconfig { files, context } => {
                let files: Vec<String> = files.iter().map(|file| escaped(&file.to_string_lossy())).collect();
                let (files, context) = (files.join(":"), escaped(context));
                write!(f, "{KUBECONFIG}{files}?context={context}&namespace={namespace}")
            }
        }
    }
}

impl Endpoint {
    /// Parses the text.
    ///
    /// # Errors
    /// The reason why it is no endpoint.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (access, options) = text.split_once('?').ok_or("it names no namespace")?;
        let option = |name: &str| {
            let found = options.split('&').filter_map(|option| option.split_once('='));
            let mut found = found.filter(|(key, _)| *key == name).map(|(_, value)| unescaped(value));
            found.next().unwrap_or_else(|| Err(format!("it names no {name}")))
        };
        let namespace = option("namespace")?;
        // The name becomes part of a path.
        if !is_name(&namespace) {
            return Err("it names no namespace".to_owned());
        }
        if access == IN_CLUSTER {
            return Ok(Self { access: Access::InCluster, namespace });
        }
        let files = access.strip_prefix(KUBECONFIG).ok_or("it is neither a kubeconfig nor in-cluster")?;
        let files: Result<Vec<PathBuf>, String> =
            files.split(BETWEEN_FILES).map(|file| unescaped(file).map(PathBuf::from)).collect();
        Ok(Self { access: Access::Kubeconfig { files: files?, context: option("context")? }, namespace })
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match RESERVED.contains(&c) {
            true => escaped.push_str(&format!("%{:02x}", u32::from(c))),
            false => escaped.push(c),
        }
    }
    escaped
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let byte = byte.filter(u8::is_ascii).ok_or_else(|| format!("'%{part}' stands for no character"))?;
        plain.push(char::from(byte));
        plain.push_str(&part[2..]);
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let files = ["/home/u/.kube/config", "/tmp/a:b?c%d&e=f"].map(PathBuf::from).to_vec();
        let access = Access::Kubeconfig { files, context: "kind?&namespace=x".to_owned() };
        for access in [access, Access::InCluster] {
            let endpoint = Endpoint { access, namespace: "team-a".to_owned() };
            assert_eq!(Endpoint::parse(&endpoint.to_string()).unwrap(), endpoint);
        }
        let plain = Access::Kubeconfig { files: vec![PathBuf::from("/k")], context: "dev".to_owned() };
        let plain = Endpoint { access: plain, namespace: "default".to_owned() };
        assert_eq!(plain.to_string(), "kubeconfig:/k?context=dev&namespace=default");
    }

    #[test]
    fn a_host_reads_the_place_of_an_endpoint_by_the_options_that_lead_there() {
        let access =
            Access::Kubeconfig { files: vec![PathBuf::from("/a?b=c&d")], context: "kind?&x=%".to_owned() };
        let endpoint = Endpoint { access, namespace: "team-a".to_owned() };
        let place = wharf_sdk::endpoint_options(&endpoint.to_string());
        let options = [("context", "kind?&x=%"), ("namespace", "team-a")];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(place.into_iter().collect::<Vec<_>>(), options);
    }

    #[test]
    fn an_invalid_endpoint_is_refused_with_the_reason() {
        for (text, why) in [
            ("unix:///run/docker.sock", "namespace"),
            ("unix:///run/docker.sock?namespace=a", "neither"),
            ("kubeconfig:/a?namespace=b", "context"),
            ("in-cluster:?namespace=..%2fnodes", "namespace"),
            ("kubeconfig:/a?namespace=B&context=c", "namespace"),
            ("kubeconfig:/a%zz?namespace=b&context=c", "%zz"),
        ] {
            assert!(Endpoint::parse(text).unwrap_err().contains(why), "{text}");
        }
    }
}

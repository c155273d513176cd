//! What an image says about its server, where the host only supposes: the port that it listens on, and variables that it sets.
//! [`crate::deploy`] uses it once the image is there.
use crate::{image::Provided, port::target_port};
use wharf_sdk::{Transport, WorkloadSpec};

/// The value by which servers of both transports are told that one.
const STDIO: &str = "stdio";

/// The specification with what the image says in the place of what the host supposed.
pub(crate) fn settled(spec: &WorkloadSpec, image: &Provided) -> WorkloadSpec {
    let mut settled = spec.clone();
    let is_supposed = |name: &String| spec.supposed.contains(name);
    if let Some(supposed) = target_port(spec) {
        let supposed = supposed.to_string();
        let ports: Vec<_> =
            spec.env.iter().filter(|(name, value)| is_supposed(name) && **value == supposed).collect();
        let named =
            ports.iter().find_map(|(name, _)| image.variable(name)?.parse().ok().filter(|port| *port > 0));
        if let (false, Some(port)) = (ports.is_empty(), named.or_else(|| image.single_port())) {
            settled.transport = Transport::Http { target_port: port };
            settled.env.extend(ports.into_iter().map(|(name, _)| (name.clone(), port.to_string())));
        }
    }
    // An image that serves over stdio by itself must be told that it is to serve HTTP.
    let is_left = |name: &String| image.variable(name).is_some_and(|value| value != STDIO);
    settled.env.retain(|name, _| !(is_supposed(name) && is_left(name)));
    settled
}

/// A warning about an image that exposes ports, for a workload that is to speak over stdin and stdout.
pub(crate) fn warning(spec: &WorkloadSpec, image: &Provided) -> Option<String> {
    // The servers of sessions are made of the same image.
    if target_port(spec).is_some() || spec.parent.is_some() || image.exposed.is_empty() {
        return None;
    }
    Some(format!(
        "the image exposes {}; if its server speaks HTTP there it will say nothing on its stdout: run it with \
         --transport streamable-http",
        image.exposed.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::tests::spec;
    use serde_json::json;

    fn image(env: &[&str], exposed: &[&str]) -> Provided {
        let owned = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect();
        Provided { env: owned(env), exposed: owned(exposed), ..Provided::default() }
    }

    /// A specification in which the host supposes these variables.
    fn http(env: &[(&str, &str)], supposed: &[&str]) -> WorkloadSpec {
        let env: std::collections::BTreeMap<_, _> = env.iter().copied().collect();
        let transport = json!({ "kind": "http", "target_port": 8080 });
        spec(json!({ "transport": transport, "env": env, "supposed": supposed }))
    }

    const USUAL: [(&str, &str); 3] =
        [("MCP_TRANSPORT", "streamable-http"), ("MCP_PORT", "8080"), ("PORT", "8080")];
    const NAMES: [&str; 3] = ["MCP_PORT", "MCP_TRANSPORT", "PORT"];

    #[test]
    fn a_single_exposed_port_is_the_target_port_and_the_server_is_told_it() {
        let settled = settled(&http(&USUAL, &NAMES), &image(&[], &["3000/tcp", "53/udp"]));
        assert_eq!(target_port(&settled), Some(3000));
        assert_eq!((settled.env["PORT"].as_str(), settled.env["MCP_PORT"].as_str()), ("3000", "3000"));
        for exposed in [&[][..], &["3000/tcp", "3001/tcp"]] {
            let spec = http(&USUAL, &NAMES);
            assert_eq!(super::settled(&spec, &image(&[], exposed)), spec, "{exposed:?}");
        }
    }

    #[test]
    fn what_an_image_sets_itself_is_left() {
        let image = image(&["MCP_TRANSPORT=http", "PORT=4000", "PATH=/bin"], &["3000/tcp"]);
        let settled = settled(&http(&USUAL, &NAMES), &image);
        assert_eq!(target_port(&settled), Some(4000));
        assert!(!settled.env.contains_key("MCP_TRANSPORT") && !settled.env.contains_key("PORT"));
        assert_eq!(settled.env["MCP_PORT"], "4000");
        let over_stdio = self::image(&["MCP_TRANSPORT=stdio"], &[]);
        let settled = super::settled(&http(&USUAL, &NAMES), &over_stdio);
        assert_eq!(settled.env["MCP_TRANSPORT"], "streamable-http", "it is to serve HTTP");
    }

    #[test]
    fn what_a_user_asks_for_goes_before_what_an_image_says() {
        let image = image(&["MCP_TRANSPORT=http", "PORT=4000"], &["3000/tcp"]);
        let asked = http(&USUAL, &[]);
        assert_eq!(settled(&asked, &image), asked);
    }

    #[test]
    fn an_image_that_exposes_a_port_is_told_where_it_is_run_over_stdio() {
        let over_stdio = spec(json!({}));
        let told = warning(&over_stdio, &image(&[], &["8000/tcp"])).unwrap();
        assert!(told.contains("8000/tcp") && told.contains("--transport streamable-http"), "{told}");
        assert_eq!(warning(&over_stdio, &image(&[], &[])), None);
        assert_eq!(warning(&http(&USUAL, &NAMES), &image(&[], &["8000/tcp"])), None);
    }
}

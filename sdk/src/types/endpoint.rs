//! [`endpoint_options`]: the place in an engine that an endpoint leads to, in a form that hosts can show and repeat.
use std::collections::BTreeMap;

/// The options that lead to the place of an endpoint, such as the context and the namespace of a cluster; none if it names none.
///
/// An endpoint is opaque to the host, but for this: where a runtime's own options (`option.NAME` among its capabilities) choose
/// between several places, what stands after the first `?` is `NAME=VALUE`, with `&` between two. In a value a character with a
/// meaning in this form is `%` and the two hexadecimal digits of its byte.
pub fn endpoint_options(endpoint: &str) -> BTreeMap<String, String> {
    let (_, options) = endpoint.split_once('?').unwrap_or_default();
    let options = options.split('&').filter_map(|option| option.split_once('='));
    let read = options.filter_map(|(name, value)| Some((name.to_owned(), unescaped(value)?)));
    read.filter(|(name, value)| !name.is_empty() && !value.is_empty()).collect()
}

/// None if it is not written so.
fn unescaped(value: &str) -> Option<String> {
    let mut parts = value.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = u8::from_str_radix(part.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        plain.push(char::from(byte));
        plain.push_str(part.get(2..)?);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_the_end_of_an_endpoint_and_from_nothing_else() {
        let told = |endpoint: &str| {
            let options = endpoint_options(endpoint).into_iter();
            options.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told("kubeconfig:/k?context=dev&namespace=team-a"), "context=dev namespace=team-a");
        assert_eq!(told("kubeconfig:/k?context=a%3fb%25&namespace="), "context=a?b%");
        assert_eq!(told("kubeconfig:/k?context=%zz&=x&y&context2=%c3"), "");
        assert_eq!(told("unix:///run/docker.sock"), "");
        assert_eq!(told(""), "");
    }
}

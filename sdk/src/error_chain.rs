//! [`error_chain`]: an error with its causes, for the message of a call that failed.

/// The error with its causes. A cause whose text the error before it repeats is left out.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Because {
        text: &'static str,
        #[source]
        cause: Option<Box<Because>>,
    }

    #[test]
    fn an_error_chain_repeats_no_text_of_its_source() {
        let of = |text, cause: Option<Because>| Because { text, cause: cause.map(Box::new) };
        let error = of("no answer: refused", Some(of("refused", Some(of("nobody listens", None)))));
        assert_eq!(error_chain(&error), "no answer: refused: nobody listens");
    }
}

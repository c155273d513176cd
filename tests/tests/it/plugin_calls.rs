//! Correct calls, with answers and log records, and calls that the host refuses by itself.
use std::time::Duration;
use wharf_runtimes::{CallError, Plugins, Purpose};
use wharf_sdk::{ErrorCode, HealthState, ListQuery, Source};
use wharf_tests::{HOST_ID, Rack, Records, handle, spec};

#[tokio::test]
async fn every_operation_reaches_its_method() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("every");
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    let spec = spec("every", &[]);
    runtime.validate(&spec).await.unwrap();
    let handle = runtime.deploy(&spec).await.unwrap();
    runtime.start(&handle).await.unwrap();
    runtime.recover(&handle).await.unwrap();
    runtime.inspect(&handle).await.unwrap();
    assert_eq!(runtime.wait(&handle).await.unwrap().code, Some(0));
    runtime.stop(&handle, Duration::from_secs(1)).await.unwrap();
    runtime.remove(&handle).await.unwrap();
    assert!(runtime.list(&ListQuery::ALL, Purpose::Change).await.unwrap().complete);
    assert_eq!(runtime.health().await.unwrap().state, HealthState::Healthy);
    let entered = ["validate", "deploy", "start", "recover", "inspect", "wait", "stop", "remove"];
    let expected: Vec<String> =
        entered.iter().map(|name| format!("INFO alpha every: {name} entered")).collect();
    assert_eq!(records.lines(), expected);
}

#[tokio::test]
async fn every_code_of_error_crosses() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    for code in [
        ErrorCode::NotFound,
        ErrorCode::AlreadyExists,
        ErrorCode::InvalidArgument,
        ErrorCode::FailedPrecondition,
        ErrorCode::PermissionDenied,
        ErrorCode::Unavailable,
        ErrorCode::Unsupported,
        ErrorCode::Timeout,
        ErrorCode::Cancelled,
        ErrorCode::Internal,
    ] {
        let order = format!("error:{}", code.as_str());
        let CallError::Answered(error) =
            runtime.start(&handle("codes", &[("start", &order)])).await.unwrap_err()
        else {
            panic!("{code:?}");
        };
        assert_eq!((error.code, error.message.as_str()), (code, "start told to fail"));
        assert_eq!(error.retryable, matches!(code, ErrorCode::Unavailable | ErrorCode::Timeout));
    }
}

#[tokio::test]
async fn an_undeclared_capability_is_refused_without_calling_the_plugin() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("undeclared");
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    let plain = spec("undeclared", &[]);

    let mut limited = plain.clone();
    limited.memory_bytes = Some(1024);
    let error = runtime.deploy(&limited).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Unsupported));
    assert_eq!(error.to_string(), "the runtime 'alpha' has no 'memory', which memory_bytes needs");
    let CallError::Answered(error) = error else { panic!("{error}") };
    assert_eq!(error.details, Some(serde_json::json!({ "field": "memory_bytes" })));

    let mut image = plain.clone();
    image.source = Source::Image { reference: "x".to_owned() };
    let error = runtime.validate(&image).await.unwrap_err();
    assert_eq!(error.to_string(), "the runtime 'alpha' runs commands, and not images");

    let two = host.connect("alpha-two", None, HOST_ID).await.unwrap();
    let error = two.attach(&handle("undeclared", &[("attach", "echo")])).await.err().unwrap();
    assert_eq!(error.code(), Some(ErrorCode::Unsupported));
    assert_eq!(error.to_string(), "the runtime 'alpha-two' has no 'attach'");

    assert_eq!(records.lines(), Vec::<String>::new(), "nobody asked the plugin");
}

#[tokio::test]
async fn log_records_arrive_filtered() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("levels");
    let mut options = rack.options();
    options.log_level = "info".to_owned();
    let host = Plugins::new(options);
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    runtime.start(&handle("levels", &[("start", "log")])).await.unwrap();
    assert_eq!(
        records.lines(),
        [
            "INFO alpha levels: start entered",
            "ERROR alpha levels: tracing error count=3",
            "WARN alpha levels: tracing warn",
            "INFO alpha levels: tracing info",
            "ERROR alpha levels: log error",
            "WARN alpha levels: log warn",
            "INFO alpha levels: log info",
            "WARN alpha levels: dependency warn",
        ]
    );
}

#[tokio::test]
async fn log_records_name_the_runtime_that_they_come_from() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("whose");
    let host = rack.host();
    let one = host.connect("alpha", None, HOST_ID).await.unwrap();
    let two = host.connect("alpha-two", None, HOST_ID).await.unwrap();
    one.start(&handle("whose", &[])).await.unwrap();
    two.stop(&handle("whose", &[]), Duration::ZERO).await.unwrap();
    assert_eq!(records.lines(), ["INFO alpha whose: start entered", "INFO alpha-two whose: stop entered"]);
}

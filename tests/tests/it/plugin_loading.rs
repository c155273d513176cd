//! Several libraries, several names: the right library answers.
use wharf_tests::{HOST_ID, Rack, handle};

#[tokio::test]
async fn two_plugins_have_two_names() {
    let rack = Rack::with(&["alpha", "beta"]);
    let host = rack.host();
    let alpha = host.connect("alpha", None, HOST_ID).await.unwrap();
    let beta = host.connect("beta", None, HOST_ID).await.unwrap();
    assert_eq!(alpha.instance().await.unwrap().instance, "alpha");
    assert_eq!(beta.instance().await.unwrap().instance, "beta");
    assert_eq!(alpha.stamp().priority, -5);
}

#[tokio::test]
async fn one_library_provides_several_runtimes() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    for name in ["alpha-two", "alpha"] {
        let runtime = host.connect(name, None, HOST_ID).await.unwrap();
        assert_eq!(runtime.instance().await.unwrap().instance, name);
        assert_eq!(runtime.stamp().name, name);
    }
}

#[tokio::test]
async fn a_library_serves_several_hosts_of_one_process() {
    let rack = Rack::with(&["alpha"]);
    let (first, second) = (rack.host(), rack.host());
    let one = first.connect("alpha", None, HOST_ID).await.unwrap();
    let other = second.connect("alpha", None, HOST_ID).await.unwrap();
    drop((first, one));
    assert_eq!(other.instance().await.unwrap().instance, "alpha");
}

#[tokio::test]
async fn copies_of_one_library_in_two_folders_are_two_libraries() {
    let (first, second) = (Rack::with(&["alpha"]), Rack::with(&["alpha"]));
    let mut hosts = Vec::new();
    for rack in [&first, &second] {
        let host = rack.host();
        let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
        runtime.inspect(&handle("copies", &[])).await.unwrap();
        hosts.push(host);
    }
}

#[tokio::test]
async fn a_runtime_is_connected_once_for_each_endpoint() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let (one, same) =
        tokio::join!(host.connect("alpha", None, HOST_ID), host.connect("alpha", None, HOST_ID));
    assert!(std::sync::Arc::ptr_eq(&one.unwrap(), &same.unwrap()));
    let other = host.connect("alpha", Some("elsewhere"), HOST_ID).await.unwrap();
    assert_eq!(other.instance().await.unwrap().instance, "alpha");
}

/// A process that lives for months meets any number of options.
#[tokio::test]
async fn a_connection_with_options_of_one_workload_goes_when_nobody_uses_it() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let options = |text: &str| [("option".to_owned(), text.to_owned())].into();
    let used = host.connect_with("alpha", &options("one"), HOST_ID).await.unwrap();
    let dropped = {
        let client = host.connect_with("alpha", &options("two"), HOST_ID).await.unwrap();
        std::sync::Arc::downgrade(&client)
    };
    let plain = std::sync::Arc::downgrade(&host.connect("alpha", None, HOST_ID).await.unwrap());
    host.connect_with("alpha", &options("three"), HOST_ID).await.unwrap();
    assert!(dropped.upgrade().is_none());
    assert!(plain.upgrade().is_some(), "connections without options are few, and kept");
    let same = host.connect_with("alpha", &options("one"), HOST_ID).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&used, &same));
}

#[tokio::test]
async fn a_runtime_that_cannot_be_connected_is_tried_again() {
    let rack = Rack::with(&["alpha"]);
    let mut options = rack.options();
    let orders = serde_json::json!({ "connect": "error:permission_denied" });
    options.configurations.insert("alpha".to_owned(), orders);
    let host = wharf_runtimes::Plugins::new(options);
    for _ in 0..2 {
        let error = host.connect("alpha", None, HOST_ID).await.unwrap_err();
        assert_eq!(error.to_string(), "the runtime 'alpha' cannot be connected");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "connect told to fail");
    }
    assert!(host.connect("alpha-two", None, HOST_ID).await.is_ok());
}

#[tokio::test]
async fn after_the_shut_down_what_runs_has_ended_and_nothing_begins() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    let records = wharf_tests::Records::of("shut-down");
    let waits = handle("shut-down", &[("wait", "hang")]);
    let waiting = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.wait(&waits).await }
    });
    records.wait_for("wait entered").await;
    host.shut_down(std::time::Duration::from_secs(20)).await;
    let ended = waiting.await.unwrap().unwrap_err();
    assert_eq!(ended.to_string(), "the runtime was shut down");
    let refused = runtime.instance().await.unwrap_err();
    assert_eq!(refused.code(), Some(wharf_sdk::ErrorCode::Unavailable));
}

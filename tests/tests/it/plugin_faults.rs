//! A faulty plugin is an error and not a crash: each fault, and the calls that still work.
//!
//! The host of these tests has one thread, so a call that blocked it would be noticed.
use std::{fs::File, io::Write, path::Path, time::Duration};
use wharf_runtimes::{CallError, Plugins, RuntimeClient};
use wharf_sdk::ErrorCode;
use wharf_tests::{HOST_ID, Rack, Records, handle, spec};

/// The runtime still answers.
async fn lives(runtime: &RuntimeClient) {
    assert_eq!(runtime.instance().await.unwrap().instance, runtime.name());
}

/// Releases a thread that blocks on a fifo. Waits until one does.
fn release(fifo: &Path) {
    File::options().write(true).open(fifo).unwrap().write_all(b"go").unwrap();
}

#[tokio::test]
async fn a_panic_is_an_error_with_its_message() {
    let rack = Rack::with(&["alpha", "beta"]);
    let records = Records::of("panicking");
    let host = rack.host();
    let (alpha, beta) = (
        host.connect("alpha", None, HOST_ID).await.unwrap(),
        host.connect("beta", None, HOST_ID).await.unwrap(),
    );
    for operation in ["start", "inspect", "attach"] {
        let handle = handle("panicking", &[(operation, "panic")]);
        let error = match operation {
            "start" => alpha.start(&handle).await.unwrap_err(),
            "inspect" => alpha.inspect(&handle).await.unwrap_err(),
            _ => alpha.attach(&handle).await.err().unwrap(),
        };
        assert_eq!(error.code(), Some(ErrorCode::Internal));
        assert_eq!(
            error.to_string(),
            format!("the plugin panicked: panicking: told to panic in {operation}")
        );
    }
    let error = alpha.deploy(&spec("panicking", &[("deploy", "panic")])).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Internal));
    lives(&alpha).await;
    lives(&beta).await;
    alpha.start(&handle("panicking", &[])).await.unwrap();
    let logged =
        records.lines().into_iter().filter(|line| line.starts_with("ERROR alpha panicked at")).count();
    assert_eq!(logged, 4, "{:#?}", records.lines());
}

#[tokio::test]
async fn a_panic_while_it_is_connected_is_an_error() {
    let rack = Rack::with(&["alpha"]);
    let mut options = rack.options();
    options.configurations.insert("alpha".to_owned(), serde_json::json!({ "connect": "panic" }));
    let host = Plugins::new(options);
    let error = host.connect("alpha", None, HOST_ID).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the plugin panicked: alpha: told to panic in connect");
    lives(&host.connect("alpha-two", None, HOST_ID).await.unwrap()).await;
}

#[tokio::test]
async fn a_panic_in_the_drop_of_a_cancelled_call_stays_in_the_plugin() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("drop-panics");
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    let handle = handle("drop-panics", &[("start", "drop-panics")]);
    tokio::select! {
        _ = runtime.start(&handle) => panic!("it never ends"),
        () = records.wait_for("start entered") => {}
    }
    records.wait_for("told to panic in drop").await;
    lives(&runtime).await;
    runtime.stop(&handle, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_method_that_blocks_ends_at_the_hosts_deadline_and_holds_nobody_else_up() {
    let rack = Rack::with(&["alpha", "beta"]);
    let records = Records::of("blocks");
    let fifo = rack.fifo("gate");
    let mut options = rack.options();
    options.deadlines.change = Duration::from_millis(1500);
    let host = Plugins::new(options);
    let (alpha, beta) = (
        host.connect("alpha", None, HOST_ID).await.unwrap(),
        host.connect("beta", None, HOST_ID).await.unwrap(),
    );
    let order = format!("block:{}", fifo.display());
    // All of the plugin's threads block: it answers nothing any more.
    let (first, second) =
        (handle("blocks-1", &[("start", &order)]), handle("blocks-2", &[("start", &order)]));
    let both = async { tokio::join!(alpha.start(&first), alpha.start(&second)) };
    let meanwhile = async {
        records.wait_for("blocks-1: start entered").await;
        records.wait_for("blocks-2: start entered").await;
        lives(&beta).await;
    };
    let ((one, two), ()) = tokio::join!(both, meanwhile);
    for outcome in [one, two] {
        assert_eq!(
            outcome.unwrap_err().to_string(),
            "'start' gave no answer within 1500 ms; whether it was done is not known"
        );
    }
    release(&fifo);
    lives(&alpha).await;
}

#[tokio::test]
async fn a_runtime_whose_threads_are_all_blocked_is_loaded_again() {
    let rack = Rack::with(&["alpha"]);
    let gates = [rack.fifo("first"), rack.fifo("second")];
    let mut options = rack.options();
    options.deadlines.change = Duration::from_millis(500);
    let host = Plugins::new(options);
    let blocked = host.connect("alpha", None, HOST_ID).await.unwrap();
    let orders = gates.each_ref().map(|gate| format!("block:{}", gate.display()));
    let (first, second) =
        (handle("again-1", &[("start", &orders[0])]), handle("again-2", &[("start", &orders[1])]));
    let (first, second) = tokio::join!(blocked.start(&first), blocked.start(&second));
    assert!(first.is_err() && second.is_err());
    // It is tried before it is given up.
    let again = async {
        loop {
            let again = host.connect("alpha", None, HOST_ID).await.unwrap();
            if !std::sync::Arc::ptr_eq(&again, &blocked) {
                return again;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(60), again).await.expect("another copy");
    lives(&again).await;
    tokio::task::spawn_blocking(move || gates.iter().for_each(|gate| release(gate))).await.unwrap();
    lives(&blocked).await;
}

#[tokio::test]
async fn a_runtime_whose_methods_block_holds_up_no_other_of_its_library() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("stalls");
    let gates = [rack.fifo("first"), rack.fifo("second")];
    let host = rack.host();
    let (one, two) = (
        host.connect("alpha", None, HOST_ID).await.unwrap(),
        host.connect("alpha-two", None, HOST_ID).await.unwrap(),
    );
    let elsewhere = host.connect("alpha", Some("elsewhere"), HOST_ID).await.unwrap();
    // As many as a runtime has threads.
    let orders = gates.each_ref().map(|gate| format!("block:{}", gate.display()));
    let (first, second) =
        (handle("stalls-1", &[("start", &orders[0])]), handle("stalls-2", &[("start", &orders[1])]));
    let both = async { tokio::join!(one.start(&first), one.start(&second)) };
    let meanwhile = async {
        records.wait_for("stalls-1: start entered").await;
        records.wait_for("stalls-2: start entered").await;
        lives(&two).await;
        assert_eq!(elsewhere.instance().await.unwrap().instance, "alpha");
        tokio::task::spawn_blocking(move || gates.iter().for_each(|gate| release(gate))).await.unwrap();
    };
    let ((first, second), ()) = tokio::join!(both, meanwhile);
    first.and(second).unwrap();
    lives(&one).await;
}

#[tokio::test]
async fn a_cancelled_change_is_over_before_the_next_one_of_its_workload_begins() {
    let rack = Rack::with(&["alpha"]);
    let records = Records::of("ordered");
    let fifo = rack.fifo("gate");
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    let order = format!("drop-blocks:{}", fifo.display());
    let handle_ = handle("ordered", &[("start", &order)]);
    tokio::select! {
        _ = runtime.start(&handle_) => panic!("it never ends"),
        () = records.wait_for("start entered") => {}
    }
    let released = async {
        // The stop was sent before this question: had it not to wait its turn, it would have begun.
        lives(&runtime).await;
        runtime.inspect(&handle("ordered", &[])).await.unwrap();
        tokio::task::spawn_blocking(move || release(&fifo)).await.unwrap();
    };
    let (stopped, ()) = tokio::join!(biased; runtime.stop(&handle_, Duration::ZERO), released);
    stopped.unwrap();
    assert_eq!(
        records.lines(),
        ["start entered", "inspect entered", "start dropped", "stop entered"]
            .map(|what| format!("INFO alpha ordered: {what}"))
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    let error = runtime.inspect(&handle("big", &[("inspect", "big")])).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, CallError::Malformed { .. }), "{text}");
    assert!(text.starts_with("the plugin's answer to 'inspect' makes no sense: it has 734"), "{text}");
    lives(&runtime).await;
}

#[tokio::test]
async fn an_answer_about_another_workload_is_refused() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    let runtime = host.connect("alpha", None, HOST_ID).await.unwrap();
    let told = handle("mine", &[("inspect", "other-uid"), ("recover", "other-uid")]);
    let about_another = "makes no sense: it is about another workload";
    assert!(runtime.inspect(&told).await.unwrap_err().to_string().ends_with(about_another));
    assert!(runtime.recover(&told).await.unwrap_err().to_string().ends_with(about_another));
    let error = runtime.deploy(&spec("mine", &[("deploy", "other-uid")])).await.unwrap_err();
    assert_eq!(error.to_string(), "deploy returned a handle of another workload");
}

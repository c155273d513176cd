//! The orders that the runtime obeys.
use serde_json::Value;
use std::io::Read;
use wharf_sdk::{Error, ErrorCode, Result, WorkloadSpec};

/// The orders of a specification: its environment.
pub(crate) fn of(spec: &WorkloadSpec) -> Value {
    spec.env.iter().map(|(operation, order)| (operation.clone(), Value::from(order.clone()))).collect()
}

/// The order for an operation.
pub(crate) fn order<'a>(orders: &'a Value, operation: &str) -> Option<&'a str> {
    orders.get(operation).and_then(Value::as_str)
}

/// Does what is ordered for this operation; `uid` marks its log records.
///
/// `panic` · `drop-panics` (waits for ever, panics when dropped) · `block:PATH` (blocks the thread until PATH, a fifo,
/// ends) · `drop-blocks:PATH` (waits for ever, blocks when dropped) · `hang` · `error:CODE` · `log` · `exit:CODE` ·
/// `lose-and-exit` (starts processes that lose their parent, and exits with 0) · `abort` · `overflow` (of the stack) ·
/// `signal:NAME` (sends it to its own process) · `print:TEXT` (on stdout, after it has read stdin to its end). All others
/// are for the operation itself.
pub(crate) async fn obey(operation: &str, uid: &str, orders: &Value) -> Result<()> {
    let order = order(orders, operation).unwrap_or_default();
    let (verb, object) = order.split_once(':').unwrap_or((order, ""));
    tracing::info!("{uid}: {operation} entered");
    match verb {
        "panic" => panic!("{uid}: told to panic in {operation}"),
        "drop-panics" => {
            let _guard = PanicsInDrop(format!("{uid}: told to panic in drop"));
            std::future::pending().await
        }
        "block" => {
            block(object);
            Ok(())
        }
        "drop-blocks" => {
            let _guard =
                BlocksInDrop { path: object.to_owned(), says: format!("{uid}: {operation} dropped") };
            std::future::pending().await
        }
        "hang" => std::future::pending().await,
        "error" => Err(Error::new(code(object), format!("{operation} told to fail"))),
        "exit" => std::process::exit(object.parse().unwrap_or_default()),
        "lose-and-exit" => {
            lose_processes();
            std::process::exit(0)
        }
        "abort" => std::process::abort(),
        "overflow" => {
            tracing::info!("{}", overflow(1));
            Ok(())
        }
        "signal" => {
            send_to_itself(object);
            std::future::pending().await
        }
        "print" => {
            print(object);
            Ok(())
        }
        "log" => {
            say_at_each_level(uid);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn code(name: &str) -> ErrorCode {
    serde_json::from_value(Value::from(name)).unwrap_or(ErrorCode::Internal)
}

/// Blocks the thread until somebody has opened the fifo for writing and closed it again.
fn block(path: &str) {
    let ended = std::fs::File::open(path).and_then(|mut fifo| fifo.read_to_end(&mut Vec::new()));
    tracing::info!("{path} ended: {}", ended.is_ok());
}

/// Needs more and more of the stack.
#[expect(unconditional_recursion, reason = "there is no other way to overflow a stack")]
fn overflow(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 1024]);
    overflow(depth + 1) + room[0]
}

#[expect(clippy::print_stderr, reason = "a test looks for it")]
fn lose_processes() {
    let script = "for count in 1 2 3; do setsid sh -c 'sleep 3599 & sleep 3599' & done";
    let started = std::process::Command::new("sh").args(["-c", script]).status();
    eprintln!("started what it loses: {started:?}");
}

fn send_to_itself(signal: &str) {
    let own = std::process::id().to_string();
    let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &own]).status();
    tracing::info!("{signal} was sent: {sent:?}");
}

#[expect(clippy::print_stdout, reason = "that is what it is told to do")]
fn print(text: &str) {
    let read = std::io::read_to_string(std::io::stdin());
    println!("{text}");
    tracing::info!("it read {read:?}");
}

struct PanicsInDrop(String);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

struct BlocksInDrop {
    path: String,
    says: String,
}

impl Drop for BlocksInDrop {
    fn drop(&mut self) {
        block(&self.path);
        tracing::info!("{}", self.says);
    }
}

fn say_at_each_level(uid: &str) {
    tracing::error!(count = 3, "{uid}: tracing error");
    tracing::warn!("{uid}: tracing warn");
    tracing::info!("{uid}: tracing info");
    tracing::debug!("{uid}: tracing debug");
    log::error!("{uid}: log error");
    log::warn!("{uid}: log warn");
    log::info!("{uid}: log info");
    log::debug!("{uid}: log debug");
    // A dependency whose name begins like this crate's.
    tracing::info!(target: "wharf_test_plugin_alpha_http::client", "{uid}: dependency info");
    tracing::warn!(target: "wharf_test_plugin_alpha_http::client", "{uid}: dependency warn");
    log::info!(target: "wharf_test_plugin_alpha_http", "{uid}: dependency log info");
}

//! The plugin's side of the boundary, entered as a host does it but with documents of the test's own making.
use std::sync::{Mutex, PoisonError};
use wharf_sdk::abi::abi_stable::{sabi_trait::prelude::TD_Opaque, std_types::RString};
use wharf_sdk::abi::wharf_abi::{Host, Host_TO, PluginBox};
use wharf_sdk::abi::{Registration, connect};
use wharf_sdk::{
    Context, Error, ErrorCode, Exit, Handle, Health, Instance, ListQuery, Listing, Observation, Result,
    Runtime, StopOptions, WorkloadSpec,
};

/// Deploys nothing, ever.
struct Stuck;

static ENTERED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Runtime for Stuck {
    async fn connect(_: Context) -> Result<Self> {
        Ok(Self)
    }
    async fn instance(&self) -> Result<Instance> {
        Ok(Instance { instance: "stuck".to_owned(), endpoint: String::new() })
    }
    async fn health(&self) -> Health {
        Health::unhealthy("")
    }
    async fn validate(&self, spec: &WorkloadSpec) -> Result<()> {
        ENTERED.lock().unwrap_or_else(PoisonError::into_inner).push(spec.uid.clone());
        Ok(())
    }
    async fn deploy(&self, _: &WorkloadSpec) -> Result<Handle> {
        std::future::pending().await
    }
    async fn start(&self, _: &Handle) -> Result<()> {
        Ok(())
    }
    async fn stop(&self, _: &Handle, _: StopOptions) -> Result<()> {
        Ok(())
    }
    async fn remove(&self, _: &Handle) -> Result<()> {
        Ok(())
    }
    async fn inspect(&self, _: &Handle) -> Result<Observation> {
        Err(Error::not_found("nothing"))
    }
    async fn list(&self, _: &ListQuery) -> Result<Listing> {
        Err(Error::unavailable("nothing"))
    }
    async fn wait(&self, _: &Handle) -> Result<Exit> {
        std::future::pending().await
    }
    async fn recover(&self, _: &Handle) -> Result<Observation> {
        Err(Error::not_found("nothing"))
    }
}

struct Deaf;

impl Host for Deaf {
    fn notify(&self, _: RString, _: RString) {}
}

fn registrations() -> Vec<Registration> {
    vec![Registration::new::<Stuck>("stuck")]
}

const CONNECT: &str = r#"{"version":1,"body":{"runtime_name":"stuck","host_id":"h","data_dir":"/","log_dir":"/",
    "launcher":[],"log_level":"warn"}}"#;

async fn try_connect(document: &str) -> std::result::Result<PluginBox, Error> {
    let host = Host_TO::from_value(Deaf, TD_Opaque);
    let connected = connect(host, document.into(), registrations, "it").await.into_result();
    connected.map_err(|text| serde_json::from_str(&text).expect("an error"))
}

async fn call(operation: &str, document: &str) -> std::result::Result<String, Error> {
    let plugin = try_connect(CONNECT).await.expect("a connection");
    let reply = plugin.call(operation.into(), document.into()).await.into_result();
    reply.map(RString::into_string).map_err(|text| serde_json::from_str(&text).expect("an error"))
}

fn spec_document(uid: &str, more: &str) -> String {
    format!(
        r#"{{"version":1,"deadline_ms":50,"body":{{"uid":"{uid}","name":"n","host_id":"h",
        "source":{{"kind":"command","program":"x"}},"transport":{{"kind":"stdio"}}{more}}}}}"#
    )
}

#[tokio::test]
async fn a_deadline_is_kept_whether_or_not_the_host_gives_up() {
    let error = call("deploy", &spec_document("u", "")).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Timeout, "'deploy' took longer than 50 ms"));
}

#[tokio::test]
async fn a_specification_with_an_unknown_field_is_refused_by_name_and_reaches_no_method() {
    assert!(call("validate", &spec_document("known", "")).await.is_ok());
    let error = call("validate", &spec_document("unknown", r#","gpu_count":1"#)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported);
    assert!(error.message.contains("gpu_count"), "{error}");
    assert_eq!(*ENTERED.lock().unwrap(), ["known"]);
}

#[tokio::test]
async fn a_newer_document_is_refused_by_its_version() {
    let error = call("health", r#"{"version":3,"body":{}}"#).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported);
    assert!(error.message.contains("version 3, and only versions up to 2 are known"), "{error}");
}

#[tokio::test]
async fn junk_and_unknown_operations_are_errors() {
    let error = call("health", "junk").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let error = call("hibernate", r#"{"version":1,"body":{}}"#).await.unwrap_err();
    assert_eq!(error.message, "this runtime has no operation 'hibernate'");
    let error = try_connect(&CONNECT.replace("stuck", "other")).await.err().unwrap();
    assert_eq!(error.message, "this library provides no runtime named 'other'");
    assert_eq!(try_connect("").await.err().unwrap().code, ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn documents_other_than_specifications_may_have_unknown_fields() {
    // Only a specification is refused for them: all other documents may grow.
    let answer = call("instance", r#"{"version":1,"trace_id":"x","body":{"newer":true}}"#).await.unwrap();
    assert_eq!(answer, r#"{"version":2,"body":{"instance":"stuck","endpoint":""}}"#);
}

#[tokio::test]
async fn a_question_about_a_workload_is_answered_once_its_deployment_has_been_dropped() {
    let plugin = try_connect(CONNECT).await.unwrap();
    // It takes a while to be read, and no worker has begun with it by then.
    let args = format!(r#","args":["{}"]"#, vec!["x"; 200_000].join(r#"",""#));
    let without_deadline = spec_document("deployed", &args).replace(r#""deadline_ms":50,"#, "");
    let mut deploying = Box::pin(plugin.call("deploy".into(), without_deadline.into()));
    assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut deploying).await.is_err());
    let list = async |uid: &str, deadline_ms: u32| {
        let query = format!(r#"{{"version":1,"deadline_ms":{deadline_ms},"body":{{"uids":["{uid}"]}}}}"#);
        let answer = plugin.call("list".into(), query.into()).await.into_result().unwrap_err();
        serde_json::from_str::<Error>(&answer).unwrap().code
    };
    assert_eq!(list("deployed", 50).await, ErrorCode::Timeout);
    // The one error is this runtime's own answer.
    assert_eq!(list("another", 60_000).await, ErrorCode::Unavailable);
    drop(deploying);
    assert_eq!(list("deployed", 60_000).await, ErrorCode::Unavailable);
}

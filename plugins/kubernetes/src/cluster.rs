//! The connection to one namespace of one cluster.
use crate::{
    answers::{Bounded, Bounding},
    endpoint::{Access, Endpoint},
    error::ask,
    helper::Helper,
    identity,
    proxy::Proxies,
};
use hyper::{Request, Response, StatusCode, Uri, body::Incoming};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Event, Namespace, Pod, Secret, Service},
};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client,
    client::{Body, ConfigExt, retry::RetryPolicy},
    config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tower::{ServiceBuilder, filter::AsyncFilterLayer, retry::RetryLayer};
use wharf_sdk::{Error, Result, error_chain};

/// How long the API server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(4);
/// After so much silence of a connection, the kernel asks whether the other side is still there, so often, and with these
/// pauses. A watch, an attached stream or a port-forward may rest for days, and would otherwise not notice a network that has
/// gone.
const ALIVE: (Duration, u32) = (Duration::from_secs(20), 3);
/// The shortest and the longest pause between two attempts of a request that the API server has no time for, unless it says
/// how long to wait.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// How often such a request is made again; as often as kubectl does.
const ATTEMPTS: u32 = 10;
/// The namespace whose uid tells a cluster from every other one: each has it, and nobody can make it anew.
pub(crate) const SYSTEM_NAMESPACE: &str = "kube-system";

/// A namespace of a cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// How it was reached.
    pub(crate) endpoint: Endpoint,
    /// Where its API server is, for people.
    pub(crate) address: String,
    /// When the files that describe the access had been written last: credentials in them are exchanged.
    written: Vec<Option<SystemTime>>,
    /// When the certificate ends that a program has handed out.
    ends: Option<Timestamp>,
    /// What the API server has made of the credentials.
    verdict: Arc<Verdict>,
}

/// What an API server makes of credentials.
#[derive(Debug, Default)]
struct Verdict {
    /// It has refused them. The program that hands them out may have others by now.
    is_refused: AtomicBool,
    /// It has accepted them at least once.
    is_accepted: AtomicBool,
}

impl Verdict {
    fn note(&self, status: StatusCode) {
        match status {
            StatusCode::UNAUTHORIZED => self.is_refused.store(true, Ordering::Relaxed),
            // Of a failure of the server or of a proxy before it, nothing follows.
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {}
            _ => self.is_accepted.store(true, Ordering::Relaxed),
        }
    }
}

impl Cluster {
    /// The cluster behind an endpoint. Nothing is asked of it yet.
    ///
    /// # Errors
    /// The files do not describe such an access, or one of these proxies is meant for it.
    pub(crate) async fn of(endpoint: Endpoint, proxies: &Proxies) -> Result<Self> {
        let written = written(&endpoint.access);
        let mut config = match &endpoint.access {
            Access::InCluster => Config::incluster().map_err(|error| {
                Error::unavailable(format!("this is no pod of a cluster: {}", error_chain(&error)))
            })?,
            Access::Kubeconfig { files, context } => of_files(files, context, proxies).await?,
        };
        config.default_namespace.clone_from(&endpoint.namespace);
        let address = place(&config.cluster_url);
        let helper = Helper::of(&mut config.auth_info)
            .await
            .map_err(|why| Error::unavailable(format!("no credentials can be had for {address}: {why}")))?;
        let ends = helper.as_ref().and_then(Helper::ends);
        let verdict = Arc::<Verdict>::default();
        let client = client_of(&config, helper, Arc::clone(&verdict))
            .map_err(|why| Error::unavailable(format!("the access to {address} makes no sense: {why}")))?;
        Ok(Self { client, endpoint, address, written, ends, verdict })
    }

    /// Whether the connection can still be used: the files that describe the access have not been written since, the
    /// certificate has not ended, and the API server accepts the credentials.
    pub(crate) fn is_current(&self) -> bool {
        !self.refuses_credentials()
            && self.ends.is_none_or(|ends| Timestamp::now() < ends)
            && self.is_of_these_files()
    }

    /// Whether the files that describe the access have not been written since.
    pub(crate) fn is_of_these_files(&self) -> bool {
        self.written == written(&self.endpoint.access)
    }

    /// Whether the API server has refused the credentials.
    pub(crate) fn refuses_credentials(&self) -> bool {
        self.verdict.is_refused.load(Ordering::Relaxed)
    }

    /// Whether the API server has accepted the credentials at least once.
    pub(crate) fn was_accepted(&self) -> bool {
        self.verdict.is_accepted.load(Ordering::Relaxed)
    }

    /// The same error with where the API server is: who is told may have several clusters.
    pub(crate) fn named(&self, error: Error) -> Error {
        Error { message: format!("{}: {}", self.address, error.message), ..error }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.endpoint.namespace
    }

    pub(crate) fn statefulsets(&self) -> Api<StatefulSet> {
        Api::namespaced(self.client.clone(), self.namespace())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), self.namespace())
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.namespace())
    }

    pub(crate) fn services(&self) -> Api<Service> {
        Api::namespaced(self.client.clone(), self.namespace())
    }

    pub(crate) fn events(&self) -> Api<Event> {
        Api::namespaced(self.client.clone(), self.namespace())
    }

    pub(crate) fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.client.clone())
    }

    /// Objects of the namespace, of a kind.
    pub(crate) fn namespaced<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), self.namespace())
    }

    /// Objects that belong to no namespace, of a kind.
    pub(crate) fn global<K>(&self) -> Api<K>
    where
        K: kube::Resource,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// The instance that answers: asked of the cluster, never remembered.
    pub(crate) async fn instance(&self) -> Result<String> {
        let doing = "the cluster cannot be told from others (get namespace kube-system)";
        let system = ask(doing, self.namespaces().get_metadata(SYSTEM_NAMESPACE)).await?;
        let uid = system.metadata.uid.unwrap_or_default();
        if uid.is_empty() {
            return Err(Error::unavailable(format!("{doing}: it has no uid")));
        }
        Ok(identity::instance(&uid, self.namespace()))
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({})", self.endpoint)
    }
}

/// When each of the files was written last. For a pod's own access, the client watches the files itself.
fn written(access: &Access) -> Vec<Option<SystemTime>> {
    let Access::Kubeconfig { files, .. } = access else { return Vec::new() };
    files.iter().map(|file| std::fs::metadata(file).and_then(|about| about.modified()).ok()).collect()
}

/// The client of an API server. It is not made by kube's own builder, which logs each failure as an error, before the
/// caller has decided what the failure means.
fn client_of(
    config: &Config,
    helper: Option<Helper>,
    verdict: Arc<Verdict>,
) -> std::result::Result<Client, String> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    http.set_keepalive(Some(ALIVE.0));
    http.set_keepalive_interval(Some(ALIVE.0));
    http.set_keepalive_retries(Some(ALIVE.1));
    let https = config.rustls_https_connector_with_connector(http).map_err(|error| error_chain(&error))?;
    let retry = RetryPolicy::new(PAUSES[0], PAUSES[1], ATTEMPTS, true).map_err(|error| error.to_string())?;
    let watch = move |answer: Response<Bounded<Incoming>>| {
        verdict.note(answer.status());
        answer
    };
    let service =
        ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer().map_err(|error| error_chain(&error))?)
            .layer(config.extra_headers_layer().map_err(|error| error_chain(&error))?)
            .option_layer(helper.map(|helper| {
                AsyncFilterLayer::new(move |request: Request<Body>| helper.clone().sign(request))
            }))
            .layer(RetryLayer::new(retry))
            .map_response(watch)
            .service(Bounding(HttpClient::builder(TokioExecutor::new()).build(https)));
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// A URL for people: without the credentials that may stand before its host.
fn place(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str().unwrap_or("https"), uri.host().unwrap_or_default());
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", uri.path())
}

/// The reason why a kubeconfig cannot be read. The parser's own words are left out: they show lines of the file, which hold
/// tokens and keys.
fn unreadable(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            let line = error.location().map(|at| format!(", as line {} shows", at.line()));
            format!("it is no kubeconfig{}", line.unwrap_or_default())
        }
        other => error_chain(other),
    }
}

/// Merges kubeconfig files. If several define the same name, the first one counts.
pub(crate) fn read_files(files: &[PathBuf]) -> std::result::Result<Kubeconfig, String> {
    let mut all: Option<Kubeconfig> = None;
    for file in files {
        let next = Kubeconfig::read_from(file)
            .map_err(|error| format!("{}: {}", file.display(), unreadable(&error)))?;
        all = Some(match all {
            None => next,
            Some(before) => before.merge(next).map_err(|error| error_chain(&error))?,
        });
    }
    all.ok_or_else(|| "no kubeconfig is named".to_owned())
}

async fn of_files(files: &[PathBuf], context: &str, proxies: &Proxies) -> Result<Config> {
    let unusable = |why: String| Error::unavailable(format!("the context '{context}' cannot be used: {why}"));
    let mut all = read_files(files).map_err(unusable)?;
    if let Some(proxy) = take_proxy(&mut all, context) {
        let proxy = proxy.parse().map_or_else(|_| "of its proxy-url".to_owned(), |proxy| place(&proxy));
        let why = format!("it goes through the proxy {proxy}, and this version of wharf uses none");
        return Err(unusable(why));
    }
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let mut config =
        Config::from_custom_kubeconfig(all, &options).await.map_err(|error| unusable(error_chain(&error)))?;
    // Situation: where the kubeconfig names no proxy, the library has taken the one of `HTTPS_PROXY`, for every server.
    // Conclusion: that is undone, and the variables are read as kubectl does.
    config.proxy_url = None;
    match proxies.to(&config.cluster_url) {
        None => Ok(config),
        Some(variable) => Err(unusable(format!(
            "{variable} names a proxy for {}, and this version of wharf uses none; add {} to NO_PROXY if it can be reached \
             without",
            place(&config.cluster_url),
            config.cluster_url.host().unwrap_or_default()
        ))),
    }
}

/// The proxy that a kubeconfig names for a context. The library reads the variable in its place only where there is none.
fn take_proxy(all: &mut Kubeconfig, context: &str) -> Option<String> {
    let named = all.contexts.iter().find(|named| named.name == context)?.context.as_ref()?.cluster.clone();
    let cluster = all.clusters.iter_mut().find(|cluster| cluster.name == named)?.cluster.as_mut()?;
    cluster.proxy_url.take().filter(|proxy| !proxy.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_kubeconfig_that_cannot_be_read_is_told_without_its_tokens() {
        for text in [
            "users:\n- name: u\n  user: {token: s3cret-value, exec: [1}\n",
            "users:\n- name: u\n  user: {token: s3cret-value, exec: s3cret-value}\n",
            "users: s3cret-value\n",
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let why = read_files(&[file.path().to_owned()]).unwrap_err();
            assert!(why.contains("it is no kubeconfig") && !why.contains("s3cret"), "{why}");
            assert!(!why.contains('\n'), "{why}");
        }
    }

    #[tokio::test]
    async fn a_proxy_is_refused_where_it_is_meant_for_this_cluster_and_nowhere_else() {
        let used = async |cluster: &str, proxies: &Proxies| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            write!(
                file,
                "{{\"clusters\": [{{\"name\": \"c\", \"cluster\": {{{cluster}}}}}],
                  \"contexts\": [{{\"name\": \"x\", \"context\": {{\"cluster\": \"c\", \"user\": \"u\"}}}}],
                  \"users\": [{{\"name\": \"u\", \"user\": {{}}}}]}}"
            )
            .unwrap();
            of_files(&[file.path().to_owned()], "x", proxies).await
        };
        const SERVER: &str = r#""server": "https://a.example:6443""#;
        let refused = used(SERVER, &Proxies::named("")).await.unwrap_err().message;
        assert!(refused.contains("HTTPS_PROXY names a proxy for https://a.example:6443"), "{refused}");
        assert!(refused.contains("add a.example to NO_PROXY"), "{refused}");
        for proxies in [Proxies::named("b.example,.example"), Proxies::default()] {
            assert_eq!(used(SERVER, &proxies).await.unwrap().proxy_url, None);
        }
        let of_its_own = format!(r#"{SERVER}, "proxy-url": "http://user:s3cret@proxy.example:3128""#);
        let refused = used(&of_its_own, &Proxies::named("*")).await.unwrap_err().message;
        assert!(
            refused.contains("the proxy http://proxy.example:3128") && !refused.contains("s3cret"),
            "{refused}"
        );
        let none = format!(r#"{SERVER}, "proxy-url": """#);
        assert!(used(&none, &Proxies::default()).await.is_ok());
    }

    #[test]
    fn a_url_is_told_without_its_credentials() {
        assert_eq!(
            place(&"https://user:s3cret@a.example:6443/b".parse().unwrap()),
            "https://a.example:6443/b"
        );
        assert_eq!(place(&"http://[::1]:80".parse().unwrap()), "http://[::1]:80/");
    }
}

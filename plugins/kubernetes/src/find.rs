//! Finds a cluster for new workloads. Existing workloads are reached at their recorded endpoint.
//!
//! The first of these places that names a cluster decides, whether that works or not:
//!
//! | place | what |
//! |---|---|
//! | configuration | `runtimes.kubernetes.kubeconfig` |
//! | environment | `KUBECONFIG`: one file or several, separated by colons |
//! | the user's | `~/.kube/config`, if it is there |
//! | in a pod | the service account, if it is mounted and `KUBERNETES_SERVICE_HOST` is set |
//!
//! The context is that of the configuration (`runtimes.kubernetes.context`), or the current one of these files; the
//! namespace that of the configuration, or of the context, or `default`. `KUBECONFIG` that is set and empty says that there
//! is none.
//!
//! Where the folders of `WHARF_ENGINE_PATH` are named, a file `kubeconfig` in one of them stands in the place of the last
//! two rows; nowhere if it is set and empty.
use crate::{
    cluster::read_files,
    endpoint::{Access, Endpoint},
    names::is_name,
    settings::Settings,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The namespace if nothing names another.
const DEFAULT_NAMESPACE: &str = "default";
/// The variable with the folders that replace the usual places. Set and empty, it means that there are none.
const SEARCH_PATH: &str = "WHARF_ENGINE_PATH";
/// The name of a kubeconfig there.
const FILE_NAME: &str = "kubeconfig";
/// The folder of a pod's service account.
const SERVICE_ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// The surroundings that a search looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// The folder in which the absolute paths of the table lie: `/`, except in tests.
    root: PathBuf,
    kubeconfig: Option<String>,
    /// The folders of the user that replace the usual places.
    search_path: Option<Vec<PathBuf>>,
    home: Option<PathBuf>,
    /// Whether this process runs in a pod of a cluster.
    is_pod: bool,
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<C = Endpoint> {
    /// A cluster was named; it may not answer.
    Cluster(C),
    /// No cluster: the places that were tried, and their faults.
    Nothing(Vec<String>),
    /// The user named a cluster that cannot be used, for this reason.
    Unusable(String),
}

impl Found {
    /// With something else in the place of the endpoint.
    pub(crate) fn map<C>(self, of: impl FnOnce(Endpoint) -> C) -> Found<C> {
        match self {
            Self::Cluster(endpoint) => Found::Cluster(of(endpoint)),
            Self::Nothing(tried) => Found::Nothing(tried),
            Self::Unusable(why) => Found::Unusable(why),
        }
    }
}

impl Surroundings {
    /// The surroundings of this process.
    pub(crate) fn of_this_process() -> Self {
        let variable = |name| std::env::var(name).ok();
        let filled = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            root: PathBuf::from("/"),
            kubeconfig: variable("KUBECONFIG"),
            search_path: std::env::var_os(SEARCH_PATH).map(|path| {
                std::env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty()).collect()
            }),
            home: filled("HOME").map(PathBuf::from),
            is_pod: filled("KUBERNETES_SERVICE_HOST").is_some(),
        }
    }

    /// Looks at the places of the table.
    pub(crate) fn find(&self, settings: &Settings) -> Found {
        if let Some(file) = &settings.kubeconfig {
            return of_files(std::slice::from_ref(file), settings);
        }
        let mut tried = Vec::new();
        match self.kubeconfig.as_deref() {
            Some("") => return Found::Nothing(vec!["KUBECONFIG is set, and empty".to_owned()]),
            Some(list) => {
                let files: Vec<PathBuf> = std::env::split_paths(list).filter(|file| file.exists()).collect();
                if files.is_empty() {
                    return Found::Unusable(format!("KUBECONFIG names '{list}', and there is no such file"));
                }
                return of_files(&files, settings);
            }
            None => tried.push("KUBECONFIG: not set".to_owned()),
        }
        if let Some(folders) = &self.search_path {
            let files: Vec<PathBuf> = folders.iter().map(|folder| folder.join(FILE_NAME)).collect();
            if let Some(file) = files.iter().find(|file| file.exists()) {
                return of_files(std::slice::from_ref(file), settings);
            }
            tried.extend(files.iter().map(|file| format!("{}: not there", file.display())));
            return Found::Nothing(tried);
        }
        match self.home.as_ref().map(|home| home.join(".kube/config")) {
            Some(file) if file.exists() => return of_files(&[file], settings),
            Some(file) => tried.push(format!("{}: not there", file.display())),
            None => tried.push("~/.kube/config: HOME is not set".to_owned()),
        }
        let account = self.root.join(SERVICE_ACCOUNT);
        if self.is_pod && account.join("token").exists() {
            return match &settings.context {
                None => in_cluster(&account, settings),
                Some(context) => Found::Unusable(format!(
                    "the context '{context}' is asked for, and a pod's service account has none; name a kubeconfig, or \
                     no context"
                )),
            };
        }
        tried.push("a service account: this is no pod of a cluster".to_owned());
        Found::Nothing(tried)
    }
}

fn of_files(files: &[PathBuf], settings: &Settings) -> Found {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let names = names.join(", ");
    let files: Result<Vec<PathBuf>, _> = files.iter().map(std::path::absolute).collect();
    let files = match files {
        Ok(files) => files,
        Err(error) => return Found::Unusable(format!("{names}: {error}")),
    };
    let all = match read_files(&files) {
        Ok(all) => all,
        Err(why) => return Found::Unusable(why),
    };
    let Some(context) = settings.context.clone().or_else(|| all.current_context.clone()) else {
        return Found::Unusable(format!("{names} has no current context; choose one with --kube-context"));
    };
    let Some(named) = all.contexts.iter().find(|named| named.name == context) else {
        let known: Vec<&str> = all.contexts.iter().map(|named| named.name.as_str()).collect();
        return Found::Unusable(format!("{names} has no context '{context}', but {}", known.join(", ")));
    };
    let of_context = named.context.as_ref().and_then(|context| context.namespace.clone());
    let namespace = settings.namespace.clone().or(of_context).filter(|name| !name.is_empty());
    let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    found(Access::Kubeconfig { files, context }, namespace)
}

fn found(access: Access, namespace: String) -> Found {
    match is_name(&namespace) {
        true => Found::Cluster(Endpoint { access, namespace }),
        false => Found::Unusable(format!("'{}' is no name of a namespace", namespace.escape_debug())),
    }
}

fn in_cluster(account: &Path, settings: &Settings) -> Found {
    let own = fs::read_to_string(account.join("namespace")).ok();
    let own = own.map(|text| text.trim().to_owned()).filter(|name| !name.is_empty());
    let namespace = settings.namespace.clone().or(own);
    let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    found(Access::InCluster, namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const CONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: dev
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: t}}]
contexts:
- {name: dev, context: {cluster: c, user: u, namespace: team-a}}
- {name: bare, context: {cluster: c, user: u}}
";

    fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    fn endpoint(found: Found) -> Endpoint {
        match found {
            Found::Cluster(endpoint) => endpoint,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_source_that_names_a_cluster_decides() {
        let folder = tempfile::tempdir().unwrap();
        let of_user = file(folder.path(), "home/.kube/config", CONFIG);
        let of_variable = file(folder.path(), "variable", CONFIG);
        let of_settings = file(folder.path(), "settings", CONFIG);
        let mut surroundings =
            Surroundings { home: Some(folder.path().join("home")), ..Surroundings::default() };
        let mut settings = Settings::default();
        let at = |file: &PathBuf, context: &str, namespace: &str| Endpoint {
            access: Access::Kubeconfig { files: vec![file.clone()], context: context.to_owned() },
            namespace: namespace.to_owned(),
        };
        assert_eq!(endpoint(surroundings.find(&settings)), at(&of_user, "dev", "team-a"));
        surroundings.kubeconfig = Some(of_variable.display().to_string());
        assert_eq!(endpoint(surroundings.find(&settings)), at(&of_variable, "dev", "team-a"));
        settings.kubeconfig = Some(of_settings.clone());
        assert_eq!(endpoint(surroundings.find(&settings)), at(&of_settings, "dev", "team-a"));
        settings.context = Some("bare".to_owned());
        assert_eq!(endpoint(surroundings.find(&settings)), at(&of_settings, "bare", "default"));
        settings.namespace = Some("mine".to_owned());
        assert_eq!(endpoint(surroundings.find(&settings)), at(&of_settings, "bare", "mine"));
        for wrong in ["Mine", "../nodes", "a/b", "a?b"] {
            let named = Settings { namespace: Some(wrong.to_owned()), ..settings.clone() };
            let Found::Unusable(why) = surroundings.find(&named) else { panic!("{wrong}") };
            assert!(why.contains(wrong), "{why}");
        }
        settings.context = Some("gone".to_owned());
        let Found::Unusable(why) = surroundings.find(&settings) else { panic!() };
        assert!(why.contains("no context 'gone', but dev, bare"), "{why}");
    }

    #[test]
    fn where_no_cluster_is_configured_the_error_names_what_was_tried() {
        let folder = tempfile::tempdir().unwrap();
        let home = Some(folder.path().to_owned());
        let surroundings = Surroundings { home, root: folder.path().to_owned(), ..Surroundings::default() };
        let Found::Nothing(tried) = surroundings.find(&Settings::default()) else { panic!() };
        assert_eq!(tried.len(), 3, "{tried:?}");
        let empty = Surroundings { kubeconfig: Some(String::new()), ..surroundings.clone() };
        assert!(matches!(empty.find(&Settings::default()), Found::Nothing(_)));
        let missing = Surroundings { kubeconfig: Some("/no/such".to_owned()), ..surroundings.clone() };
        assert!(matches!(missing.find(&Settings::default()), Found::Unusable(_)));
        let named = Some(vec![folder.path().join("engines")]);
        let named = Surroundings { search_path: named, home: None, ..surroundings.clone() };
        assert!(matches!(named.find(&Settings::default()), Found::Nothing(_)));
        file(folder.path(), "engines/kubeconfig", CONFIG);
        assert_eq!(endpoint(named.find(&Settings::default())).namespace, "team-a");
        file(folder.path(), &format!("{SERVICE_ACCOUNT}/token"), "t");
        file(folder.path(), &format!("{SERVICE_ACCOUNT}/namespace"), "pods\n");
        let pod = Surroundings { is_pod: true, ..surroundings };
        let in_pod = Endpoint { access: Access::InCluster, namespace: "pods".to_owned() };
        assert_eq!(endpoint(pod.find(&Settings::default())), in_pod);
        let of_a_context = Settings { context: Some("dev".to_owned()), ..Settings::default() };
        let Found::Unusable(why) = pod.find(&of_a_context) else { panic!("another cluster may be meant") };
        assert!(why.contains("'dev'"), "{why}");
    }
}

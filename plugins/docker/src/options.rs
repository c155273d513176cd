//! The options that only containers have ([`wharf_sdk::ContainerOptions`]), checked and turned into an engine's terms.
use bollard::models::ResourcesUlimits;
use std::{collections::HashMap, net::IpAddr, path::Path};
use wharf_sdk::{ContainerOptions, Error, Result};

/// The limits of a process that the kernel has, by the names that engines take.
const ULIMITS: [&str; 15] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];
/// The word for all capabilities.
pub(crate) const ALL: &str = "ALL";
/// The address in `add_hosts` that stands for this machine's.
pub(crate) const GATEWAY: &str = "host-gateway";

/// The kernel's limits that the user asked for.
pub(crate) fn ulimits(options: &ContainerOptions) -> Result<Vec<ResourcesUlimits>> {
    let ulimit = |(name, limit): (&String, &wharf_sdk::Ulimit)| {
        if !ULIMITS.contains(&name.as_str()) {
            let known = ULIMITS.join(", ");
            return Err(Error::invalid(format!("'{name}' is no limit of a process; there are: {known}")));
        }
        let in_order = limit.hard == -1 || (limit.soft >= 0 && limit.soft <= limit.hard);
        if limit.soft < -1 || limit.hard < -1 || !in_order {
            return Err(Error::invalid(format!(
                "the limit {name}={}:{} makes no sense: the first number is at most the second",
                limit.soft, limit.hard
            )));
        }
        Ok(ResourcesUlimits { name: Some(name.clone()), soft: Some(limit.soft), hard: Some(limit.hard) })
    };
    options.ulimits.iter().map(ulimit).collect()
}

/// The capabilities of the kernel that a workload keeps, without `CAP_`.
pub(crate) fn cap_add(options: &ContainerOptions) -> Result<Option<Vec<String>>> {
    let capability = |given: &String| {
        let name = given.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            let given = given.escape_default();
            return Err(Error::invalid(format!(
                "'{given}' is no capability; write its name, such as SETUID"
            )));
        }
        Ok(name.to_owned())
    };
    let all = options.cap_add.iter().map(capability).collect::<Result<Vec<_>>>()?;
    Ok((!all.is_empty()).then_some(all))
}

/// The name of the network that the user asked for.
pub(crate) fn network(options: &ContainerOptions, has_port: bool) -> Result<Option<String>> {
    let Some(name) = &options.network else { return Ok(None) };
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(fine) {
        let name = name.escape_default();
        return Err(Error::invalid(format!(
            "'{name}' is no network: it is none, bridge, host, or the name of one that the engine has"
        )));
    }
    if has_port && matches!(name.as_str(), "host" | "none") {
        // Not `unsupported`: the field is supported, and no runtime can do both.
        return Err(Error::invalid(format!(
            "'container.network' cannot be '{name}' for a server with a port: there it has no port of its own that could be \
             published; leave it out, or name another network"
        )));
    }
    Ok(Some(name.clone()))
}

/// More names of machines.
pub(crate) fn add_hosts(options: &ContainerOptions) -> Result<Option<Vec<String>>> {
    for given in &options.add_hosts {
        let fine = |name: &str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        };
        let is_address = |address: &str| address == GATEWAY || address.parse::<IpAddr>().is_ok();
        if !given.split_once(':').is_some_and(|(name, address)| fine(name) && is_address(address)) {
            let given = given.escape_default();
            return Err(Error::invalid(format!(
                "'{given}' is no name of a machine; write NAME:ADDRESS or NAME:{GATEWAY}"
            )));
        }
    }
    Ok((!options.add_hosts.is_empty()).then(|| options.add_hosts.clone()))
}

/// The folder in the image that the workload runs in.
pub(crate) fn working_dir(given: Option<&str>) -> Result<Option<String>> {
    match given {
        Some(folder) if !Path::new(folder).is_absolute() => Err(Error::invalid(format!(
            "'{}' is no folder of an image; write an absolute path",
            folder.escape_default()
        ))),
        given => Ok(given.map(str::to_owned)),
    }
}

/// Folders in memory, with their options.
pub(crate) fn tmpfs(options: &ContainerOptions) -> Result<HashMap<String, String>> {
    let folder = |given: &String| {
        let (path, options) = given.split_once(':').unwrap_or((given, ""));
        if !Path::new(path).is_absolute() {
            let given = given.escape_default();
            return Err(Error::invalid(format!("'{given}' is no folder; write PATH or PATH:OPTIONS")));
        }
        Ok((path.to_owned(), options.to_owned()))
    };
    options.tmpfs.iter().map(folder).collect()
}

/// The size of shared memory.
pub(crate) fn shm_size(options: &ContainerOptions) -> Result<Option<i64>> {
    match options.shm_size_bytes {
        Some(0) => Err(Error::invalid("the size of shared memory must not be 0")),
        size => Ok(size.map(|size| i64::try_from(size).unwrap_or(i64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_sdk::ErrorCode;

    fn options(more: &str) -> ContainerOptions {
        serde_json::from_str(more).unwrap()
    }

    #[test]
    fn what_docker_run_takes_is_taken() {
        let all = options(
            r#"{"ulimits":{"nofile":{"soft":1500,"hard":-1}},"cap_add":["cap_setuid","SETGID"],"network":"back-1",
                "add_hosts":["db:10.0.0.1","host.docker.internal:host-gateway","six:::1"],
                "tmpfs":["/run","/scratch:size=8m,mode=1777"],"shm_size_bytes":1024}"#,
        );
        let ulimits = ulimits(&all).unwrap();
        assert_eq!((ulimits[0].soft, ulimits[0].hard), (Some(1500), Some(-1)));
        assert_eq!(cap_add(&all).unwrap().unwrap(), ["SETUID", "SETGID"]);
        assert_eq!(network(&all, true).unwrap().as_deref(), Some("back-1"));
        assert_eq!(add_hosts(&all).unwrap().unwrap().len(), 3);
        let tmpfs = tmpfs(&all).unwrap();
        assert_eq!((tmpfs["/run"].as_str(), tmpfs["/scratch"].as_str()), ("", "size=8m,mode=1777"));
        assert_eq!(shm_size(&all).unwrap(), Some(1024));
        assert_eq!(working_dir(Some("/srv")).unwrap().as_deref(), Some("/srv"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        let wrong = |more: &str, is_wrong: fn(&ContainerOptions) -> Option<Error>, named: &str| {
            let error = is_wrong(&options(more)).unwrap();
            assert!(error.message.contains(named), "{error}");
        };
        wrong(r#"{"ulimits":{"files":{"soft":1,"hard":1}}}"#, |it| ulimits(it).err(), "nofile");
        wrong(r#"{"ulimits":{"nofile":{"soft":2,"hard":1}}}"#, |it| ulimits(it).err(), "2:1");
        wrong(r#"{"cap_add":["SET UID"]}"#, |it| cap_add(it).err(), "SET UID");
        wrong(r#"{"network":"container:0af3"}"#, |it| network(it, false).err(), "container:0af3");
        wrong(r#"{"add_hosts":["db"]}"#, |it| add_hosts(it).err(), "NAME:ADDRESS");
        wrong(r#"{"add_hosts":["db:nowhere"]}"#, |it| add_hosts(it).err(), "db:nowhere");
        wrong(r#"{"tmpfs":["run"]}"#, |it| tmpfs(it).err(), "PATH");
        wrong(r#"{"shm_size_bytes":0}"#, |it| shm_size(it).err(), "0");
        assert!(working_dir(Some("srv")).is_err());
        let refused = network(&options(r#"{"network":"host"}"#), true).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidArgument, "no other runtime can do both");
        assert_eq!(network(&options(r#"{"network":"host"}"#), false).unwrap().as_deref(), Some("host"));
    }
}

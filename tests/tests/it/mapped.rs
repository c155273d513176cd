//! A command maps the libraries that it needs and no others, watched from outside.
use wharf_tests::host::{Host, demo_server, has_tool};

/// The number of plugins that a command maps, in any of its threads: files in the host's folder, or the sealed memory files
/// for libraries that their user can write.
fn mapped(host: &Host, args: &[&str]) -> usize {
    let trace = host.path("trace");
    let output = host.traced(&["--trace=mmap"], &trace, args).output().unwrap();
    let text = std::fs::read_to_string(&trace).unwrap_or_default();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = |line: &str| Some(line.split('<').nth(1)?.split('>').next()?.to_owned());
    let mut files: Vec<String> = text.lines().filter_map(file).collect();
    files.retain(|file| file.contains("/plugins/") || file.contains("memfd:wharf-plugin"));
    files.sort();
    files.dedup();
    files.len()
}

#[test]
fn r10_a_command_loads_its_owners_library_alone() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    host.add_test_plugin("alpha");
    host.add_test_plugin("beta");
    assert_eq!(mapped(&host, &["runtime", "list"]), 0);
    assert_eq!(mapped(&host, &["list"]), 0, "there is no workload whose owner could be asked");
    host.run(&["--name", "demo", &demo_server()]);
    assert_eq!(mapped(&host, &["list", "--all"]), 1);
    assert_eq!(mapped(&host, &["stop", "demo"]), 1);
    assert_eq!(mapped(&host, &["rm", "demo"]), 1);
    assert_eq!(
        mapped(&host, &["runtime", "check"]),
        3,
        "all are tried, so what was counted above means something"
    );
}

/// A shared library of three gigabytes, nearly all of them a hole, that says it has as many sections as can be, and
/// that their names are as long as it is.
fn sparse_library(path: &std::path::Path) {
    use std::io::Write;
    let mut header = vec![0_u8; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[16] = 3;
    header[18] = 62;
    header[20] = 1;
    header[40..48].copy_from_slice(&64_u64.to_le_bytes());
    header[58] = 64;
    header[60..62].copy_from_slice(&0xfeff_u16.to_le_bytes());
    let mut names = vec![0_u8; 64];
    names[4] = 3;
    names[32..40].copy_from_slice(&(2_u64 << 30).to_le_bytes());
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(&header).unwrap();
    file.write_all(&names).unwrap();
    file.set_len(3 << 30).unwrap();
}

#[test]
fn a_search_reads_little_of_a_file_whatever_its_headers_say() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    let path = host.path("plugins/huge.so");
    sparse_library(&path);
    let trace = host.path("trace");
    let output = host
        .traced(&["--trace=read,pread64,readv,preadv,mmap"], &trace, &["runtime", "list"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&trace).unwrap();
    let calls: Vec<&str> = text.lines().filter(|line| line.contains("/huge.so>")).collect();
    let bytes: usize = calls
        .iter()
        .filter_map(|line| line.rsplit_once(" = ")?.1.split_whitespace().next()?.parse::<usize>().ok())
        .sum();
    assert!(!calls.is_empty() && calls.len() <= 4, "{} calls", calls.len());
    assert!(bytes <= 1024 * 1024, "{bytes} bytes");
    assert!(!calls.iter().any(|call| call.contains("mmap")), "{calls:?}");
}

//! A read-only place inside of a writable one keeps its name, whatever is renamed on the way to it.
use super::{file, hosts};
use std::{fs, io::Write, path::Path};
use wharf_tests::host::{Host, demo_server};

/// Runs a workload with this profile that executes `text` in `proj` before it serves, and once more after a restart;
/// returns its report.
fn said_in_proj(host: &Host, profile: &str, proj: &Path, text: &str) -> String {
    let path = host.path("profile.json");
    fs::File::create(&path).unwrap().write_all(profile.as_bytes()).unwrap();
    host.own();
    let text = format!("(cd '{}'\n{text}\necho 'all tried') >&2\nexec {}", proj.display(), demo_server());
    let server = host.script("renamer", &text);
    host.ok(&["run", "--name", "renamer", "--permission-profile", &path.display().to_string(), &server]);
    host.ok(&["restart", "renamer"]);
    let logs = host.ok(&["logs", "renamer"]);
    assert_eq!(logs.matches("all tried").count(), 2, "{logs}");
    host.ok(&["rm", "renamer"]);
    logs
}

#[test]
fn folders_between_a_written_and_a_read_place_keep_their_names() {
    for host in hosts() {
        let kept = file(&host, "home/proj/sub/.git/hooks/pre-commit");
        file(&host, "home/proj/sub/.git/refs/head");
        let proj = fs::canonicalize(host.path("home/proj")).unwrap();
        let hooks = proj.join("sub/.git/hooks");
        let tries = "for name in sub sub/.git sub/.git/hooks; do\n\
            mv $name $name-away && echo \"got through: mv $name\"\n\
            rm -rf $name && echo \"got through: rm $name\"\n\
            mkdir new; mv -T new $name && echo \"got through: put in the place of $name\"; rmdir new\n\
            done\n\
            echo evil > sub/.git/hooks/post-commit && echo 'got through: a hook'\n\
            [ -d sub/.git/refs-away ] && mv sub/.git/refs-away sub/.git/refs\n\
            mkdir -p sub/.git/refs sub/other && mv sub/.git/refs sub/.git/refs-away \\\n\
            && echo evil > sub/.git/config && mv sub/other sub/another && rmdir sub/another && echo 'the rest is written'";
        // A written folder inside of a written one is no mount of itself.
        for more in [String::new(), format!(r#","{}""#, proj.join("sub").display())] {
            let profile =
                format!(r#"{{"write":["{}"{more}],"read":["{}"]}}"#, proj.display(), hooks.display());
            let said = said_in_proj(&host, &profile, &proj, tries);
            assert!(!said.contains("got through"), "{said}");
            assert_eq!(said.matches("the rest is written").count(), 2, "{said}");
            assert_eq!(fs::read_to_string(&kept).unwrap(), "the contents of a file");
            assert_eq!(fs::read_dir(&hooks).unwrap().count(), 1);
        }
    }
}

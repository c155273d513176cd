//! Images as people publish them: with a VOLUME, and with an init of their own.
use super::{add, containers, host};
use serde_json::json;
use wharf_tests::engines::{Engine, Kind};
use wharf_tests::images::Image;

const TRANSPORTS: [&str; 2] = ["stdio", "streamable-http"];

/// All volumes of an engine, by name.
fn volumes(engine: &Engine) -> Vec<String> {
    engine.client(&["volume", "ls", "--quiet"]).lines().map(str::to_owned).collect()
}

/// As with `docker run --rm`: what an engine makes for a VOLUME goes with the container, and what has a name stays.
fn has_a_volume(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let image = Image::of_demo().changed("localhost/wharf-volume:test", &["VOLUME /data"]);
    engine.add(&image);
    let host = host(&[(kind, engine.endpoint())]);
    for transport in TRANSPORTS {
        let options = ["--runtime", kind.runtime(), "--name", "kept", "--transport", transport];
        let run = |more: &[&str]| host.run(&[&options[..], more, &[image.name()]].concat());
        let url = run(&[]);
        assert_eq!(add(&url), "5");
        let made = volumes(&engine);
        assert_eq!(made.len(), 1, "its VOLUME: {made:?}");
        host.ok(&["stop", "kept"]);
        host.ok(&["start", "kept"]);
        assert_eq!((add(&url).as_str(), volumes(&engine)), ("5", made), "it is still the same");
        host.ok(&["rm", "kept"]);
        assert_eq!((containers(&engine), volumes(&engine)), (vec![], vec![]), "{transport}");
        assert_eq!(add(&run(&["-v", "named:/data"])), "5");
        assert_eq!(volumes(&engine), ["named"]);
        host.ok(&["stop", "kept"]);
        host.ok(&["rm", "kept"]);
        assert_eq!((containers(&engine), volumes(&engine)), (vec![], vec!["named".to_owned()]));
        engine.client(&["volume", "rm", "named"]);
        let failed = [&["run"], &options[..], &[image.name(), "--", "--no-such-option"]].concat();
        let failed = host.wharf(&failed);
        assert_ne!(failed.code, 0, "{failed:?}");
        assert_eq!((containers(&engine), volumes(&engine)), (vec![], vec![]), "{transport}");
    }
}

#[test]
fn nothing_of_a_volume_that_an_image_asks_docker_for_stays() {
    has_a_volume(Kind::Docker);
}

#[test]
fn nothing_of_a_volume_that_an_image_asks_podman_for_stays() {
    has_a_volume(Kind::Podman);
}

/// Behind the init that the engine adds, and as the first process of its container.
fn has_an_init(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let Some(image) = Image::of_tini(kind.runtime()) else { return };
    engine.add(&image);
    let host = host(&[(kind, engine.endpoint())]);
    for transport in TRANSPORTS {
        for more in [&[][..], &["--no-init"]] {
            let options = ["--runtime", kind.runtime(), "--name", "behind", "--transport", transport];
            let url = host.run(&[&options[..], more, &[image.name()]].concat());
            assert_eq!(add(&url), "5", "{transport} {more:?}");
            host.ok(&["stop", "behind"]);
            let exit = host.record("behind")["last_exit"].clone();
            assert_ne!(exit["code"], json!(137), "it ends when it is asked to: {transport} {more:?}: {exit}");
            host.ok(&["start", "behind"]);
            assert_eq!(add(&url), "5", "{transport} {more:?}");
            host.ok(&["rm", "behind"]);
            assert_eq!(containers(&engine), Vec::<String>::new());
        }
    }
}

#[test]
fn an_image_with_an_init_of_its_own_is_run_called_and_removed_by_docker() {
    has_an_init(Kind::Docker);
}

#[test]
fn an_image_with_an_init_of_its_own_is_run_called_and_removed_by_podman() {
    has_an_init(Kind::Podman);
}

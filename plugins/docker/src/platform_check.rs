//! Compares the platform of an image with that of the engine: an image for another one runs only where the kernel emulates
//! it, and else ends with words that do not say why.
use crate::{engine::Engine, image::Provided, platform::Platform};
use wharf_sdk::{Error, Result};

/// Refuses an image that is for another platform than the engine's, unless that platform was asked for.
pub(crate) async fn platform(
    engine: &Engine,
    image: &str,
    provided: &Provided,
    asked: Option<&str>,
) -> Result<()> {
    let Some(of_image) = &provided.platform else { return Ok(()) };
    if let Some(asked) = asked {
        return if *of_image == Platform::parse(asked)? {
            Ok(())
        } else {
            Err(not_asked_for(image, of_image, asked))
        };
    }
    // Most engines are on this machine. Podman takes long to say what it runs, so only one elsewhere is asked.
    if *of_image == Platform::here() {
        return Ok(());
    }
    let of_engine = match engine.is_of_this_machine().await {
        Ok(true) => Some(Platform::here()),
        _ => engine.platform().await,
    };
    match of_engine {
        Some(of_engine) if of_engine != *of_image => Err(Error::precondition(format!(
            "the image '{image}' is for {of_image}, and the engine runs {of_engine}; pull the image for {of_engine}, or, if \
             this machine emulates the other one, say so with --platform {of_image}"
        ))),
        _ => Ok(()),
    }
}

fn not_asked_for(image: &str, of_image: &Platform, asked: &str) -> Error {
    Error::precondition(format!(
        "the engine has the image '{image}' for {of_image}, and {asked} was asked for; let it be pulled with --pull always"
    ))
}

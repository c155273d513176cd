//! The token that clients of the port send: made once, in a file of its user's alone, and in no log.
use std::os::unix::fs::MetadataExt;
use wharf_model::{Error, ErrorKind, Result, random_hex};
use wharf_records::{OwnFiles, StateDir};

/// Its file, below the API's folder.
const FILE: &str = "token";
/// A longer one is none.
const MAX_BYTES: usize = 256;

fn files(state: &StateDir) -> OwnFiles {
    OwnFiles::new(state.api())
}

/// The token, if there is one.
///
/// # Errors
/// Its file cannot be read, or holds none.
pub fn read_token(state: &StateDir) -> Result<Option<String>> {
    let path = state.api().join(FILE);
    if std::fs::symlink_metadata(&path).is_ok_and(|file| file.mode() & 0o077 != 0) {
        let message = format!("the token in {} could be read by others", path.display());
        return Err(Error::new(ErrorKind::Failed, message).hint("remove it: a new one is made"));
    }
    match files(state).read(FILE, MAX_BYTES) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).unwrap_or_default();
            let token = text.trim();
            // A short token can be guessed, and an empty one is known to everybody.
            if token.len() < 32 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                let message = format!("the file {} holds no token", state.api().join(FILE).display());
                return Err(Error::new(ErrorKind::Failed, message).hint("remove it: a new one is made"));
            }
            Ok(Some(token.to_owned()))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The token, made if there is none.
pub(crate) fn make_token(state: &StateDir) -> Result<String> {
    if let Some(token) = read_token(state)? {
        return Ok(token);
    }
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Error::caused(ErrorKind::Failed, "no token can be made", error)
    };
    let random = || random_hex().map_err(|error| failed(&error));
    let token = format!("{}{}", random()?, random()?);
    files(state).create(FILE, format!("{token}\n").as_bytes()).map_err(|error| failed(&error))?;
    // If another process was faster, its token counts.
    read_token(state)?.ok_or_else(|| Error::new(ErrorKind::Failed, "the token is gone"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_made_once_and_a_weak_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        assert_eq!(read_token(&state).unwrap(), None);
        let token = make_token(&state).unwrap();
        assert_eq!((token.len(), make_token(&state).unwrap()), (64, token.clone()));
        let path = state.api().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(make_token(&state).unwrap_err().message.contains("read by others"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for none in ["", "\n", "short", &"x y".repeat(20)] {
            use std::io::Write;
            std::fs::File::create(&path).unwrap().write_all(none.as_bytes()).unwrap();
            let error = make_token(&state).unwrap_err();
            assert!(!error.message.contains("short"), "what is in it is not told: {error}");
        }
    }
}

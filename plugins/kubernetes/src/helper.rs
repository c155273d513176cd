//! Credentials that a program hands out, which a kubeconfig names (`exec`).
//!
//! The program is run when a connection is made, and before a request once its token runs out: once for all requests that wait.
//!
//! Called by [`crate::cluster`]. How the program is run, and what it may do, is for [`crate::credential_program`].
use crate::{
    credential_program::{Credentials, named, run},
    renewal::{REMEMBERED, Renewal},
    text::shown,
};
use hyper::{
    Request,
    header::{AUTHORIZATION, HeaderValue},
};
use k8s_openapi::{ByteString, jiff::Timestamp};
use kube::{
    client::Body,
    config::{AuthInfo, ExecConfig},
};
use std::{sync::Arc, time::Duration};

/// So many seconds before its end another token is asked for: a request takes time. Until its end it is used if there is no other.
const EARLY_SECONDS: i64 = 60;
/// So often the program is run in that time: it may hand out the same token until its end.
const EARLY_PAUSE: Duration = Duration::from_secs(10);

/// The program, and the credentials that it handed out last. Clones are the same.
#[derive(Clone)]
pub(crate) struct Helper {
    exec: Arc<ExecConfig>,
    credentials: Renewal<Arc<Held>, String>,
}

/// Credentials that were handed out.
struct Held {
    credentials: Credentials,
    /// When they end.
    ends: Option<Timestamp>,
    /// Whether the program has no better ones now: it has handed out the same token twice, or one whose time was over.
    is_best: bool,
}

impl Helper {
    /// Takes the program out of an access that has no other credentials, and runs it. A certificate that it hands out is put
    /// into the access. None: the access names no program.
    ///
    /// # Errors
    /// The program cannot be run, or hands out no credentials.
    pub(crate) async fn of(access: &mut AuthInfo) -> Result<Option<Self>, String> {
        if let Some(provider) = &access.auth_provider
            && provider.config.contains_key("cmd-path")
        {
            // The client library would run it without any bound.
            let name = shown(&provider.name);
            return Err(format!(
                "its auth-provider '{name}' names a program in a form that kubectl reads no more: write it as exec"
            ));
        }
        let has_other = access.token.is_some()
            || access.token_file.is_some()
            || access.auth_provider.is_some()
            || (access.username.is_some() && access.password.is_some());
        let Some(exec) = access.exec.take().filter(|_| !has_other) else { return Ok(None) };
        let credentials = run(&exec).await?;
        if let (Some(certificate), Some(key)) =
            (&credentials.client_certificate_data, &credentials.client_key_data)
        {
            access.client_certificate_data = Some(base64(certificate));
            access.client_key_data = Some(base64(key).into());
        }
        let held = Arc::new(Held::of(credentials, None)?);
        let lost = || "the program of the kubeconfig was not run to its end".to_owned();
        Ok(Some(Self { exec: Arc::new(exec), credentials: Renewal::of(Some(held), lost) }))
    }

    /// The end of a certificate that was handed out: a connection cannot exchange it.
    pub(crate) fn ends(&self) -> Option<Timestamp> {
        let held = self.credentials.held()?;
        held.credentials.client_certificate_data.as_ref()?;
        held.ends
    }

    /// A request with the token that counts now.
    ///
    /// # Errors
    /// The last token has run out, and the program hands out no other one.
    pub(crate) async fn sign(self, mut request: Request<Body>) -> Result<Request<Body>, String> {
        if let Some(token) = &self.current().await?.credentials.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value =
                value.map_err(|_| named(&self.exec, "hands out a token that no header can hold"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// The credentials that count now.
    async fn current(&self) -> Result<Arc<Held>, String> {
        let make = |before: Option<Arc<Held>>| {
            let exec = Arc::clone(&self.exec);
            async move { Held::of(run(&exec).await?, before.as_deref()).map(Arc::new) }
        };
        let made = self.credentials.get(|held, since| held.serves(since, Timestamp::now()), make).await;
        // Situation: the program has failed shortly before the end of the last token. Conclusion: that token still holds.
        made.or_else(|why| {
            self.credentials.held().filter(|held| !held.has_ended(Timestamp::now())).ok_or(why)
        })
    }
}

impl Held {
    fn of(credentials: Credentials, before: Option<&Self>) -> Result<Self, String> {
        let ends = credentials.ends()?;
        let has_run_out = ends.is_some_and(|ends| ends <= Timestamp::now());
        let is_best =
            before.is_some_and(|before| has_run_out || before.credentials.token == credentials.token);
        Ok(Self { ends, credentials, is_best })
    }

    fn has_ended(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// Whether they are used, this long after the program was run.
    ///
    /// Situation: many programs hand out one token until its end, and begin with another one only then; or this machine's clock is
    /// not that of the cluster, which takes the token. Conclusion: the program is not run for each request meanwhile.
    fn serves(&self, since: Duration, now: Timestamp) -> bool {
        let Some(ends) = self.ends.filter(|_| self.credentials.token.is_some()) else { return true };
        match ends.as_second() - now.as_second() {
            left if left > EARLY_SECONDS => true,
            _ if !self.has_ended(now) => since < EARLY_PAUSE,
            _ => self.is_best && since < REMEMBERED,
        }
    }
}

fn base64(pem: &str) -> String {
    let encoded = serde_json::to_value(ByteString(pem.as_bytes().to_vec()));
    encoded.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential_program::tests::program;
    use serde_json::{Value, json};

    /// An access whose program is this script.
    fn access(script: &str) -> AuthInfo {
        AuthInfo { exec: Some(program(script)), ..AuthInfo::default() }
    }

    fn printing(status: &Value) -> AuthInfo {
        access(&format!("echo '{}'", json!({ "kind": "ExecCredential", "status": status })))
    }

    async fn refused(mut access: AuthInfo) -> String {
        Helper::of(&mut access).await.err().expect("it is refused")
    }

    async fn authorization(helper: &Helper) -> String {
        let signed = helper.clone().sign(Request::new(Body::empty())).await.unwrap();
        signed.headers()[AUTHORIZATION].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_program_in_a_form_that_is_given_up_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let ran = folder.path().join("ran");
        let config = json!({ "cmd-path": "touch", "cmd-args": ran.display().to_string() });
        let provider = json!({ "auth-provider": { "name": "gcp", "config": config } });
        let why = refused(serde_json::from_value(provider).unwrap()).await;
        assert!(why.contains("'gcp'") && why.contains("exec"), "{why}");
        assert!(!ran.exists());
    }

    #[tokio::test]
    async fn a_token_that_has_run_out_is_exchanged_before_the_next_request() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let script = format!(
            "echo >>{0}; n=$(wc -l <{0}); echo \"status: {{token: t$n, expirationTimestamp: '$([ $n = 1 ] && echo 2020 || \
             echo 2100)-01-01T00:00:00Z'}}\"",
            runs.display()
        );
        let mut access = access(&script);
        let helper = Helper::of(&mut access).await.unwrap().unwrap();
        assert!(access.exec.is_none(), "the client library must not run it, too");
        assert_eq!(authorization(&helper).await, "Bearer t2");
        assert_eq!(authorization(&helper).await, "Bearer t2", "that one holds");
    }

    #[tokio::test]
    async fn a_certificate_becomes_the_accesss_own_until_it_ends() {
        let status = json!({ "clientCertificateData": "cert", "clientKeyData": "key",
            "expirationTimestamp": "2100-01-01T00:00:00Z" });
        let mut access = printing(&status);
        let helper = Helper::of(&mut access).await.unwrap().unwrap();
        assert_eq!(access.client_certificate_data.as_deref(), Some("Y2VydA=="));
        assert!(access.client_key_data.is_some());
        assert_eq!(helper.ends(), Some("2100-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn before_its_end_a_token_is_used_on_while_the_program_has_no_other_and_is_not_run_for_each_request() {
        let now = Timestamp::now();
        let held = |seconds: i64, is_best: bool| {
            let ends = Timestamp::from_second(now.as_second() + seconds).unwrap();
            let status = json!({ "token": "t" });
            Held { credentials: serde_json::from_value(status).unwrap(), ends: Some(ends), is_best }
        };
        let (at_once, soon, later) = (Duration::ZERO, Duration::from_secs(3), Duration::from_secs(11));
        assert!(held(90, true).serves(Duration::MAX, now));
        for is_best in [false, true] {
            assert!(held(30, is_best).serves(soon, now) && !held(30, is_best).serves(later, now));
        }
        assert!(!held(-1, false).serves(at_once, now), "there may be another one by now");
        assert!(held(-1, true).serves(at_once, now) && !held(-1, true).serves(soon, now));
    }

    #[tokio::test]
    async fn a_program_that_fails_shortly_before_the_end_of_a_token_does_not_end_it() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let ends = Timestamp::from_second(Timestamp::now().as_second() + 40).unwrap();
        let script = format!(
            "echo >>{0}; [ $(wc -l <{0}) = 1 ] || exit 3; echo 'status: {{token: t, expirationTimestamp: \"{ends}\"}}'",
            runs.display()
        );
        let helper = Helper::of(&mut access(&script)).await.unwrap().unwrap();
        for _ in 0..3 {
            assert_eq!(authorization(&helper).await, "Bearer t");
        }
        assert_eq!(count(&runs), 1, "it was run a moment ago");
        // As if that had been long ago.
        helper.credentials.age(EARLY_PAUSE);
        assert_eq!(authorization(&helper).await, "Bearer t");
        assert_eq!(count(&runs), 2, "it was run, and has failed");
    }

    #[tokio::test]
    async fn a_token_that_stays_the_same_after_its_end_is_asked_for_anew_after_a_pause() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let helper = run_out(&runs, ":").await;
        for _ in 0..4 {
            assert_eq!(authorization(&helper).await, "Bearer t");
        }
        assert_eq!(count(&runs), 2, "its first run, and one for all requests after the end");
        tokio::time::sleep(REMEMBERED).await;
        assert_eq!(authorization(&helper).await, "Bearer t");
        assert_eq!(count(&runs), 3);
    }

    /// The helper of a program that counts its runs in a file, hands out a token that has run out, and then does `otherwise`.
    async fn run_out(runs: &std::path::Path, otherwise: &str) -> Helper {
        let script = format!(
            "echo >>{0}; [ $(wc -l <{0}) = 1 ] || {{ {otherwise}; }}; \
             echo 'status: {{token: t, expirationTimestamp: \"2020-01-01T00:00:00Z\"}}'",
            runs.display()
        );
        Helper::of(&mut access(&script)).await.unwrap().unwrap()
    }

    fn count(runs: &std::path::Path) -> usize {
        std::fs::read_to_string(runs).unwrap().lines().count()
    }

    #[tokio::test]
    async fn a_program_that_fails_is_run_once_for_all_who_wait_and_not_again_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let helper = run_out(&runs, "sleep 0.3; exit 3").await;
        let sign = || helper.clone().sign(Request::new(Body::empty()));
        let told = futures_util::future::join_all([sign(), sign(), sign(), sign()]).await;
        assert!(told.iter().all(|told| told.as_ref().is_err_and(|why| why.contains("exit status: 3"))));
        assert!(sign().await.is_err());
        assert_eq!(count(&runs), 2);
        // A failure is not for ever.
        tokio::time::sleep(REMEMBERED).await;
        assert!(sign().await.is_err());
        assert_eq!(count(&runs), 3);
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_does_not_end_the_program_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let then = "sleep 0.3; echo 'status: {token: new}'; exit 0";
        let helper = run_out(&runs, then).await;
        let given_up = helper.clone().sign(Request::new(Body::empty()));
        assert!(tokio::time::timeout(Duration::from_millis(50), given_up).await.is_err());
        assert_eq!(authorization(&helper).await, "Bearer new");
        assert_eq!(count(&runs), 2);
    }
}

//! Whether a cluster can be used here and now, and which right is missing if not.
use crate::{
    cluster::{Cluster, SYSTEM_NAMESPACE},
    error::ask,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
};
use kube::{Api, api::PostParams};
use wharf_sdk::{Error, ErrorCode, Health, Result};

/// A right: group, resource, subresource and verb.
type Right = (&'static str, &'static str, &'static str, &'static str);

/// How many rights are asked for at a time, each over a connection of its own.
const AT_ONCE: usize = 4;
const DOING: &str = "the rights of this user cannot be asked for";

/// The rights that all operations together need. `rbac.yaml` beside the sources grants these, and some whose lack only takes something
/// away, or is found elsewhere: to list and watch events, to get this namespace and `kube-system`, and to update
/// `statefulsets/finalizers`, which clusters with the admission plugin `OwnerReferencesPermissionEnforcement` ask for.
const RIGHTS: [Right; 21] = [
    ("apps", "statefulsets", "", "get"),
    ("apps", "statefulsets", "", "list"),
    ("apps", "statefulsets", "", "watch"),
    ("apps", "statefulsets", "", "create"),
    ("apps", "statefulsets", "", "patch"),
    ("apps", "statefulsets", "", "delete"),
    ("", "pods", "", "get"),
    ("", "pods", "", "list"),
    ("", "pods", "", "watch"),
    ("", "pods", "", "delete"),
    ("", "pods", "log", "get"),
    ("", "pods", "attach", "get"),
    ("", "pods", "attach", "create"),
    ("", "pods", "portforward", "get"),
    ("", "pods", "portforward", "create"),
    ("", "secrets", "", "create"),
    ("", "secrets", "", "patch"),
    ("", "services", "", "create"),
    ("", "services", "", "patch"),
    ("networking.k8s.io", "networkpolicies", "", "create"),
    ("networking.k8s.io", "networkpolicies", "", "patch"),
];

/// Whether the cluster can be used, and what is to be done if not.
pub(crate) async fn of(cluster: &Cluster) -> Health {
    let address = &cluster.address;
    let unhealthy = |error: &Error| Health::unhealthy(format!("{address}: {}", error.message));
    match cluster.instance().await {
        Ok(_) => {}
        Err(error) if cluster.refuses_credentials() => {
            return unhealthy(&error).with_remedy(
                "the API server does not know these credentials, or they have run out: log in anew, or renew them in the \
                 kubeconfig; if their account has gone with its namespace, wharf rm --forget NAME drops the record of what was there",
            );
        }
        Err(error) if error.code == ErrorCode::PermissionDenied => {
            return unhealthy(&error).with_remedy(format!(
                "let this user get the namespace {SYSTEM_NAMESPACE}, whose uid tells clusters apart"
            ));
        }
        Err(error) => return unhealthy(&error),
    }
    match missing_rights(cluster).await {
        Ok(missing) if missing.is_empty() => Health::healthy(),
        Ok(missing) => Health::unhealthy(format!(
            "{address}: this user may not {} in the namespace {}",
            missing.join(", "),
            cluster.namespace()
        ))
        .with_remedy(match missing.len() {
            // The namespace may be gone, and with it the role in it.
            all if all == RIGHTS.len() => {
                "grant it, or make the namespace and the role in it anew if they are gone; wharf rm --forget NAME drops the record of \
                 what was there"
            }
            _ => "grant it",
        }),
        Err(error) => unhealthy(&error),
    }
}

/// The needed rights that this user lacks in the namespace. The cluster itself is asked for them.
///
/// A first request returns the rules that the cluster knows of. They need not be all (a webhook grants rights without rules), so
/// each right that is in none of them is asked for by itself.
pub(crate) async fn missing_rights(cluster: &Cluster) -> Result<Vec<String>> {
    let rules = rules(cluster).await;
    let unproven: Vec<Right> =
        RIGHTS.into_iter().filter(|right| !rules.iter().any(|rule| grants(rule, right))).collect();
    let reviews: Api<SelfSubjectAccessReview> = cluster.global();
    let asked = unproven.into_iter().map(|right| {
        let (reviews, review) = (reviews.clone(), review(cluster.namespace(), right));
        async move {
            let told = ask(DOING, reviews.create(&PostParams::default(), &review)).await?;
            let is_allowed = told.status.is_some_and(|status| status.allowed);
            Ok((!is_allowed).then(|| name(right)))
        }
    });
    let asked: Vec<_> = asked.collect();
    let missing: Vec<Option<String>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok(missing.into_iter().flatten().collect())
}

/// The rules for this user in the namespace; none if the cluster does not tell.
async fn rules(cluster: &Cluster) -> Vec<ResourceRule> {
    let reviews: Api<SelfSubjectRulesReview> = cluster.global();
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(cluster.namespace().to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let told = ask(DOING, reviews.create(&PostParams::default(), &review)).await;
    told.ok().and_then(|told| told.status).map(|status| status.resource_rules).unwrap_or_default()
}

/// Whether a rule grants a right on all objects of the resource.
fn grants(rule: &ResourceRule, (group, resource, subresource, verb): &Right) -> bool {
    let has = |values: &Option<Vec<String>>, wanted: &str| {
        values.iter().flatten().any(|value| value == "*" || value == wanted)
    };
    let wanted = match *subresource {
        "" => (*resource).to_owned(),
        part => format!("{resource}/{part}"),
    };
    rule.resource_names.as_ref().is_none_or(Vec::is_empty)
        && rule.verbs.iter().any(|value| value == "*" || value == verb)
        && has(&rule.api_groups, group)
        && has(&rule.resources, &wanted)
}

fn review(namespace: &str, (group, resource, subresource, verb): Right) -> SelfSubjectAccessReview {
    let attributes = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: (!subresource.is_empty()).then(|| subresource.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() }
}

fn name((_, resource, subresource, verb): Right) -> String {
    match subresource {
        "" => format!("{verb} {resource}"),
        part => format!("{verb} {resource}/{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_rule_grants_what_it_names_on_all_objects_and_nothing_else() {
        let grants = |rule: Value, right: &Right| grants(&serde_json::from_value(rule).unwrap(), right);
        let (pods, log) = (("", "pods", "", "get"), ("", "pods", "log", "get"));
        let all = json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] });
        assert!(RIGHTS.iter().all(|right| grants(all.clone(), right)));
        let some = json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] });
        assert!(grants(some.clone(), &pods) && !grants(some.clone(), &log));
        assert!(!grants(some.clone(), &("", "pods", "", "delete")));
        assert!(!grants(some, &("apps", "pods", "", "get")));
        let named =
            json!({ "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"], "verbs": ["get"] });
        assert!(!grants(named, &pods), "on one object alone");
    }
}

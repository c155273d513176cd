//! Whether a cluster can be used here and now, and which right is missing if not.
use crate::{cluster::Cluster, error::ask};
use futures_util::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};
use wharf_sdk::Result;

/// The rights that all operations together need: group, resource, subresource and verb. `rbac.yaml` beside the sources
/// grants these, and no others.
const RIGHTS: [(&str, &str, &str, &str); 17] = [
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
];

/// The needed rights that this user lacks in the namespace. The cluster itself is asked for them.
pub(crate) async fn missing_rights(cluster: &Cluster) -> Result<Vec<String>> {
    let reviews: Api<SelfSubjectAccessReview> = cluster.global();
    let asked = RIGHTS.iter().map(|right| {
        let (reviews, review) = (reviews.clone(), review(cluster.namespace(), *right));
        async move {
            let doing = "the rights of this user cannot be asked for";
            let told = ask(doing, reviews.create(&PostParams::default(), &review)).await?;
            Ok(told.status.is_some_and(|status| status.allowed))
        }
    });
    let allowed: Vec<bool> = try_join_all(asked).await?;
    let missing = RIGHTS.iter().zip(allowed).filter(|(_, allowed)| !allowed);
    Ok(missing.map(|(right, _)| name(*right)).collect())
}

fn review(
    namespace: &str,
    (group, resource, subresource, verb): (&str, &str, &str, &str),
) -> SelfSubjectAccessReview {
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

fn name((_, resource, subresource, verb): (&str, &str, &str, &str)) -> String {
    match subresource {
        "" => format!("{verb} {resource}"),
        part => format!("{verb} {resource}/{part}"),
    }
}

//! Proves which cluster, and which namespace of it, an answer came from.
//!
//! The instance is the uid of the namespace `kube-system` and the name of the namespace that is used. An object that was
//! made in the instance proves that the answer came from its storage: the annotation `wharf.proof` holds a digest of the
//! instance and of the uid that the cluster itself gave the object. If the object is restored from a backup into another
//! cluster, it gets another uid there, and the digest no longer fits. A copy of the whole storage has the same
//! `kube-system`, too, and cannot be told from the first.
use crate::labels::{self, PROOF};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The separator of the parts of an instance.
const BETWEEN: char = '/';

/// The instance's text.
pub(crate) fn instance(system_uid: &str, namespace: &str) -> String {
    format!("{system_uid}{BETWEEN}{namespace}")
}

/// The annotation of an object that was made in an instance: the instance, and a digest that ties it to this object.
pub(crate) fn proof(instance: &str, object_uid: &str) -> String {
    format!("{instance} {}", labels::digest(&format!("{instance}\n{object_uid}")))
}

/// The instance that an object proves. None if it proves none; then the cluster must be asked.
pub(crate) fn proven(metadata: &ObjectMeta) -> Option<String> {
    let carried = labels::annotation(metadata, PROOF)?;
    let (instance, _) = carried.split_once(' ')?;
    let namespace = instance.split_once(BETWEEN)?.1;
    let is_so = carried == proof(instance, metadata.uid.as_deref()?)
        && metadata.namespace.as_deref() == Some(namespace);
    is_so.then(|| instance.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_proves_the_instance_that_it_was_made_in_and_its_copies_do_not() {
        let made = instance("c0", "team-a");
        let object = |uid: &str, namespace: &str| ObjectMeta {
            annotations: Some([(PROOF.to_owned(), proof(&made, "u-1"))].into()),
            uid: Some(uid.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        };
        assert_eq!(proven(&object("u-1", "team-a")), Some(made.clone()));
        assert_eq!(proven(&object("u-2", "team-a")), None, "restored elsewhere, it has another uid");
        assert_eq!(proven(&object("u-1", "team-b")), None);
        assert_eq!(proven(&ObjectMeta::default()), None);
    }
}

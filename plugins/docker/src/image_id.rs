//! The ids of images, as engines write them.

/// An image's id: engines write the algorithm in front, or not.
pub(crate) fn bare(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

//! The ids of images, as engines write them.

/// An image's id without the algorithm, which some answers put in front.
pub(crate) fn bare(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

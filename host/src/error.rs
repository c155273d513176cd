//! Errors and what they become at the edge.

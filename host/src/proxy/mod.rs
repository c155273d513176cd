//! proxy (placeholder until its room is built).

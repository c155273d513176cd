//! Where the host keeps its files.

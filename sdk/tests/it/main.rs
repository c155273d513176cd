//! One test binary for the package.
mod boundary;
mod schema;

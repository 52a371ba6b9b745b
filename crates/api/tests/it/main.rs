//! The outside contract, checked from outside.

mod agent_file;
mod agent_file_bad;
mod error_codes;

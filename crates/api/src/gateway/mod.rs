//! The gateway's API as plain data: one table of routes, the types of requests and answers, and the
//! document that is made of them.
//!
//! A file per area. Each has its types and its part of the table; [`routes::areas`] lists the
//! parts. Deliberately absent: carrying anything out. The gateway has a handler for each route of
//! the table, and none beside it; a test holds the two together.

pub mod access;
pub mod agent;
pub mod callback;
pub mod catalog;
pub mod dead_letter;
pub mod file;
pub mod hook;
pub mod meta;
pub mod openapi;
pub mod people;
pub mod problem;
pub mod proof;
pub mod prune;
mod route;
pub mod routes;
pub mod run;
pub mod run_find;
pub mod schedule;
pub mod session;
pub mod task;
pub mod usage;
pub mod worker;

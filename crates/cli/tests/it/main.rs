//! The real program, in sealed environments: what the command line promises.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where its expectation does"
)]

mod access;
mod agent_commands;
mod bad_input;
mod bom;
mod budgets;
mod clients;
mod config;
mod coordinated;
mod coordinator_files;
mod coordinators;
mod coordinators_anew;
mod crash;
mod damage;
mod dead_letters;
mod detached;
mod events;
mod evidence;
mod examples;
mod exporting;
mod family_exports;
mod family_logs;
mod foreground;
mod forks;
mod full_disk;
mod gateway_agents;
mod gateway_runs;
mod grpc;
mod handoffs;
mod keys;
mod listeners;
mod listing;
mod logs;
mod machines;
mod many;
mod messages;
mod migrate;
mod namespaces;
mod openapi;
mod operations;
mod orphans;
mod otlp;
mod output_parts;
mod outputs;
mod ownership;
mod parcels;
mod parking;
mod pausing;
mod payload;
mod people;
mod pipes;
mod places;
mod reconnects;
mod recovery;
mod reference;
mod remote;
mod remove;
mod replays;
mod retention;
mod retries;
mod secrets;
mod server;
mod service_restarts;
mod service_wakes;
mod services;
mod session_turns;
mod sessions;
mod steps;
mod stop;
mod storm;
mod streams;
mod streams_live;
mod stress;
mod stress_checkpoints;
mod stress_fleet;
mod stress_workflows;
mod support;
mod trace;
mod triggers;
mod workers;
mod workspaces;

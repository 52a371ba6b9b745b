//! The engine against real sockets, processes and files.

mod listener;

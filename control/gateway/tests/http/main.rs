//! Every resource over HTTP: the real router on a real socket over real embedded stores in a
//! private directory. One program, because linking the stores once is quicker than ten times.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod accounts;
mod appliance;
mod away;
mod bundles;
mod catalog;
mod edge;
mod isps;
mod lab;
mod openapi;
mod operator;
mod play;
mod registration;
mod renewal;
mod routes;
mod steering;
mod telemetry;
mod web;

//! Request heads: a corpus of hostile ones, mutations of it, and arbitrary bytes.
//! A corpus file's name starts with the word that refuses it, or `ok`, or `unfinished`.

mod corpus;
mod escapes;
mod mutations;
mod properties;
mod rules;
mod tickets;

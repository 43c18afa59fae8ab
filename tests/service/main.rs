//! What a running server does, in the test's own process or as a program.
//!
//! One binary for all of it: each further one would compile `common/` again and be linked.

#[path = "../common/server/mod.rs"]
mod server;
#[path = "../common/tokens/mod.rs"]
mod tokens;

mod admin_connections;
mod admission_addresses;
mod behind_balancers;
mod cases_access;
mod cases_addresses;
mod cases_api;
mod cases_api_clients;
mod cases_api_docs;
mod cases_client_address;
mod cases_clients;
mod cases_command_line;
mod cases_config;
mod cases_http;
mod cases_import;
mod cases_import_errors;
mod cases_import_proxies;
mod cases_namespaces;
mod cases_presence;
mod cases_signals;
mod cases_tls_files;
mod cases_token_commands;
mod cases_tokens;
mod centrifuge_clients;
mod centrifuge_codes;
mod centrifuge_commands;
mod centrifuge_lagging;
mod centrifuge_server_side;
mod cluster;
mod cluster_batches;
mod cluster_peers;
mod config_process;
mod events;
mod hooks;
mod hooks_plain;
mod http_pages;
mod server_drain;
mod server_jwks;
mod server_log;
mod server_stop;
mod server_tls;
mod server_tokens;
mod top_cluster;
mod top_view;
mod tuning_process;
mod ws_broadcast;
mod ws_close;
mod ws_echo;
mod ws_handshake;
mod ws_limits;
mod ws_rates;

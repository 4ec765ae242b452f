//! `convo serve` as a service: how it starts, stops and restarts, and what it tells systemd.

mod balancer;
mod notices;
mod rolling;
mod socket_activation;
mod stopping;
mod systemd;
mod units;
mod waiting_start;

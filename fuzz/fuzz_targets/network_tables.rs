#![no_main]

nsdbg_fuzz::target!(network_tables);

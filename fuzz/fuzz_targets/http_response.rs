#![no_main]

nsdbg_fuzz::target!(http_response);

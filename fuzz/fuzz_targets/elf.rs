#![no_main]

nsdbg_fuzz::target!(elf);

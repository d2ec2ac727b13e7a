//! What is told of bytes, and that no bytes end the program.

use super::kind_of;
use super::sample::Sample;

fn told(bytes: &[u8]) -> (String, String) {
    let what = kind_of(&Sample::of(bytes.to_vec()));
    (what.description, what.mime.into_owned())
}

#[test]
fn kinds_are_told_by_content() {
    let long = [b"x".repeat(400), b"\n".to_vec()].concat();
    for (bytes, description, mime) in [
        (&b""[..], "empty", "inode/x-empty"),
        (b"words\n", "ASCII text", "text/plain"),
        (b"words", "ASCII text, with no line terminators", "text/plain"),
        (b"a\r\nb\r\n", "ASCII text, with CRLF line terminators", "text/plain"),
        (b"a\r\nb\n", "ASCII text, with CRLF, LF line terminators", "text/plain"),
        ("é\n".as_bytes(), "Unicode text, UTF-8 text", "text/plain"),
        (b"\xef\xbb\xbfa\n", "Unicode text, UTF-8 (with BOM) text", "text/plain"),
        (b"\xff\xfea\0\n\0", "Unicode text, UTF-16, little-endian text", "text/plain"),
        (b"\xe9t\xe9\n", "ISO-8859 text", "text/plain"),
        (&long, "ASCII text, with very long lines (400)", "text/plain"),
        (b"\x01\x02\x03\x04", "data", "application/octet-stream"),
        (b"#!/bin/sh\nexit\n", "POSIX shell script (/bin/sh), ASCII text executable", "text/x-shellscript"),
        (
            b"#!/usr/bin/env python3\n",
            "Python script (/usr/bin/env python3), ASCII text executable",
            "text/x-script.python",
        ),
        (b"#!/opt/x -y\n", "a /opt/x -y script, ASCII text executable", "text/plain"),
        (b"{\"a\": [1, 2]}\n", "JSON text data", "application/json"),
        (b"{\"a\":1}\n{\"a\":2}\n", "New Line Delimited JSON text data", "application/x-ndjson"),
        (b"{not json}\n", "ASCII text", "text/plain"),
        (b"<?xml version=\"1.0\"?>\n<a/>\n", "XML 1.0 document, ASCII text", "text/xml"),
        (b"<!DOCTYPE html>\n<html>\n", "HTML document, ASCII text", "text/html"),
        (b"<svg xmlns=\"x\"/>\n", "SVG Scalable Vector Graphics image, ASCII text", "image/svg+xml"),
        (b"---\na: 1\n", "YAML document, ASCII text", "application/yaml"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip compressed data", "application/gzip"),
        (b"GIF89a\x02\0\x03\0", "GIF image data, 2 x 3", "image/gif"),
        (b"%PDF-1.7\n", "PDF document, version 1.7", "application/pdf"),
        (b"\0asm\x01\0\0\0", "WebAssembly (wasm) binary module version 0x1", "application/wasm"),
        (
            b"\xca\xfe\xba\xbe\0\0\0\x41",
            "compiled Java class data, version 65.0 (Java 21)",
            "application/x-java-applet",
        ),
        (b"\x7fELF", "ELF, cut short or damaged", "application/octet-stream"),
        (
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
            "PEM RSA private key, encrypted",
            "text/plain",
        ),
        (b"-----BEGIN PRIVATE KEY-----\nMIG\n", "PEM private key", "text/plain"),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n",
            "OpenSSH private key (no password)",
            "text/plain",
        ),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFl\n",
            "OpenSSH private key, encrypted",
            "text/plain",
        ),
    ] {
        assert_eq!(told(bytes), (description.to_owned(), mime.to_owned()), "{bytes:?}");
    }
}

#[test]
fn a_certificate_says_whose_it_is_and_until_when() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["web.test".to_owned()]).unwrap();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "web\n.test");
    parameters.not_after = rcgen::date_time_ymd(2031, 2, 3);
    let certificate = parameters.self_signed(&key).unwrap();
    for (bytes, kind) in
        [(certificate.pem().into_bytes(), "PEM certificate"), (certificate.der().to_vec(), "DER certificate")]
    {
        let (description, _) = told(&bytes);
        assert!(description.starts_with(kind), "{description}");
        assert!(
            description.contains("CN=web") && description.ends_with("not after 2031-02-03T00:00:00Z"),
            "{description}"
        );
        assert!(!description.contains('\n'), "{description}");
    }
    let two = certificate.pem() + &certificate.pem();
    assert!(told(two.as_bytes()).0.ends_with(", the first of 2"));
}

#[test]
fn this_program_is_an_elf_file_of_glibc() {
    let input = crate::cmd::input::Input::open(std::env::current_exe().unwrap().as_os_str()).unwrap();
    let what = kind_of(&Sample::read(input).unwrap());
    assert!(what.description.starts_with("ELF 64-bit LSB"), "{what:?}");
    assert!(what.description.ends_with("not stripped"), "{what:?}");
    assert_eq!(what.details["stripped"], false);
}

/// Numbers that are always the same: xorshift.
fn noise() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn no_bytes_end_the_program() {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let program = &program[..(64 << 10).min(program.len())];
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (pem, der) = (certificate.pem(), certificate.der().to_vec());
    let seeds: [&[u8]; 16] = [
        program,
        pem.as_bytes(),
        &der,
        b"PK\x03\x04\x14\0\x08\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0mimetypePK\x03\x04",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\xff\xc0\0\x11\x08\0\x10\0\x20",
        b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\0\0\0\0",
        b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name",
        b"SQLite format 3\0",
        b"\xca\xfe\xba\xbe\0\0\0\x34",
        b"MZ\0\0",
        b"#!/usr/bin/env -S x",
        b"{\"a\":[[[[[[",
        b"\xff\xfea\0",
        b"---\n: ",
        b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0",
        b"\0\0\x01\0\x01\0\x10\x10\0\0",
    ];
    let mut next = noise();
    for seed in seeds {
        for cut in (0..seed.len().min(400)).chain([seed.len()]) {
            told(&seed[..cut]);
        }
        for _ in 0..300 {
            let mut bytes = seed[..seed.len().min(4096)].to_vec();
            for _ in 0..=next() % 8 {
                let at = next() as usize % bytes.len().min(512);
                bytes[at] = next() as u8;
            }
            told(&bytes);
        }
    }
    for length in 0..600 {
        let bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        told(&bytes);
    }
}

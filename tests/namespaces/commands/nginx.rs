//! A real server: nginx in a container's network namespace, looked at with every command of the network.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::live::within;
use crate::support::{LIMIT, Sandbox, needs_root, new_directory, sandbox, skip};

struct Nginx {
    server: Child,
    directory: PathBuf,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

const CONFIGURATION: &str = "
daemon off; master_process off; pid nginx.pid; error_log error.log;
events { worker_connections 64; }
http {
    access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
    gzip on; gzip_min_length 1; gzip_types text/plain; default_type text/plain;
    server {
        listen 127.0.0.1:8080; listen 127.0.0.1:8443 ssl;
        ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.2 TLSv1.3;
        location = / { return 200 'from nginx\\n'; }
        location = /moved { return 301 /; }
        location = /gone { return 410; }
        location /files/ { alias files/; }
    }
}
";

/// Starts it in a target's network namespace.
fn serve(target: &Sandbox) -> Nginx {
    let directory = new_directory("nginx");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["web.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(directory.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
    fs::write(directory.join("nginx.conf"), CONFIGURATION).unwrap();
    fs::create_dir(directory.join("files")).unwrap();
    fs::write(directory.join("files/large"), vec![b'x'; 3_000_000]).unwrap();
    let mut command = Command::new("nsenter");
    command
        .args(["-n", "-t", &target.pid.to_string(), "nginx", "-p"])
        .arg(&directory)
        .args(["-c", "nginx.conf"]);
    let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let nginx = Nginx { server, directory };
    let answers = || target.run(&["http", "get", "http://127.0.0.1:8080/"]).status == 0;
    assert!(within(LIMIT, answers), "nginx does not answer");
    nginx
}

#[test]
fn nginx_is_looked_at_with_every_command_of_the_network() {
    needs_root!();
    if !fs::exists("/usr/sbin/nginx").unwrap() {
        skip!("nginx is missing: apt-get install nginx-light");
    }
    let target = sandbox().file("etc/hosts", "127.0.0.1 web.test\n").start();
    let nginx = serve(&target);
    let get = |args: &[&str]| target.run(&[&["http", "get"][..], args].concat());
    assert_eq!(get(&["http://web.test:8080/"]).ok(), "from nginx\n");
    assert_eq!(get(&["-L", "http://web.test:8080/moved"]).ok(), "from nginx\n");
    // Seen to fail with a coding that is always asked for: then there is no length, and a range is cut out of what is packed.
    let head = get(&["-i", "http://web.test:8080/"]).ok();
    assert!(head.contains("Content-Length: 11") && !head.contains("Content-Encoding"), "{head}");
    let head = get(&["-i", "--compressed", "http://web.test:8080/"]).ok();
    assert!(head.contains("Content-Encoding: gzip") && head.ends_with("from nginx\n"), "{head}");
    let part = get(&["-i", "-H", "Range: bytes=0-3", "http://web.test:8080/files/large"]).ok();
    assert!(part.starts_with("HTTP/1.1 206 ") && part.ends_with("\nxxxx"), "{part}");
    // nginx refuses more than 1 MiB, and reads no more of it.
    for url in ["http://web.test:8080/", "https://web.test:8443/"] {
        let large = format!("@host:{}", nginx.directory.join("files/large").display());
        let ran = target.run(&["http", "post", "-k", "-f", url, "--data-binary", &large]);
        ran.fails(22, "413");
    }
    get(&["-f", "http://web.test:8080/gone"]).fails(22, "410");
    assert_eq!(get(&["http://web.test:8080/files/large"]).out.len(), 3_000_000);
    get(&["https://web.test:8443/"]).fails(60, "certificate");
    assert_eq!(get(&["-k", "https://web.test:8443/"]).ok(), "from nginx\n");
    fs::copy(nginx.directory.join("cert.pem"), target.root.join("cert.pem")).unwrap();
    assert_eq!(get(&["--cacert", "/cert.pem", "https://web.test:8443/"]).ok(), "from nginx\n");

    let listening = target.run(&["netstat", "-tln"]).ok();
    assert!(listening.contains("127.0.0.1:8080") && listening.contains("127.0.0.1:8443"), "{listening}");
    assert_eq!(target.line("netstat -tln | where local_port ge 8080 | count").ok(), "2\n");
    let said = target.run(&["tcp", "web.test:8080", "127.0.0.1:8443"]).ok();
    assert_eq!(said.matches("connected").count(), 2, "{said}");
    let said = target.run(&["tcp", "127.0.0.1:8080", "127.0.0.1:8081"]);
    assert!(said.status == 1 && said.text().contains("refused"), "{said:?}");
    let asked = b"GET / HTTP/1.0\r\n\r\n";
    let answer = crate::live::run_with_input(target.nsdbg().args(["--", "nc", "127.0.0.1", "8080"]), asked);
    assert!(answer.text().contains("200 OK") && answer.text().ends_with("from nginx\n"), "{answer:?}");

    let shown = target.run(&["tls", "web.test:8443"]);
    assert!(
        shown.status == 60 && shown.text().contains("web.test") && shown.text().contains("TLSv1.3"),
        "{shown:?}"
    );
    assert_eq!(target.run(&["tls", "--cacert", "/cert.pem", "web.test:8443"]).status, 0);
}

use super::*;

fn stream(members: &[(Member, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (member, data) in members {
        header(member, &mut bytes);
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len() + padding(data.len() as u64), 0);
    }
    bytes.extend_from_slice(&END);
    bytes
}

fn file(path: &[u8]) -> Member {
    Member { path: path.to_vec(), mode: 0o640, seconds: 1_700_000_000, ..Member::default() }
}

fn read(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, Broken> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    while let Some(member) = reader.next()? {
        let mut data = Vec::new();
        while let piece @ [_, ..] = reader.data()? {
            data.extend_from_slice(piece);
        }
        all.push((member, data));
    }
    Ok(all)
}

#[test]
fn what_is_written_is_read() {
    let long = [&b"d/"[..], &[b'n'; 300], b"\n\xff"].concat();
    let data = vec![7; 1000];
    let members = [
        (Member { size: 1000, uid: 65532, gid: 4_000_000_000, ..file(&long) }, &data[..]),
        (Member { kind: Kind::Link, target: long.clone(), nanoseconds: 5, ..file(b"link") }, b""),
        (Member { kind: Kind::Directory, seconds: -2, nanoseconds: 500_000_000, ..file(b"d/") }, b""),
        (Member { seconds: -7, ..file(&[b'x'; 100]) }, b""),
        (Member { seconds: 1 << 40, ..file(&[b'y'; 101]) }, b""),
    ];
    let all = read(&stream(&members)).unwrap();
    assert_eq!(all.len(), members.len());
    for ((member, bytes), (wanted, data)) in all.iter().zip(&members) {
        assert_eq!((member, &bytes[..]), (wanted, *data));
    }
    let mut told = Vec::new();
    total(12_345, &mut told);
    told.extend(END);
    let mut reader = Reader::new(&told[..]);
    assert!(reader.next().unwrap().is_none());
    assert_eq!(reader.total, Some(12_345));
}

#[test]
fn a_size_beyond_octal_digits_survives() {
    let mut bytes = Vec::new();
    header(&Member { size: 9 << 30, ..file(b"big") }, &mut bytes);
    let mut reader = Reader::new(&bytes[..]);
    assert_eq!(reader.next().unwrap().unwrap().size, 9 << 30);
}

/// A header with some bytes changed, its sum made right.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    header(&file(b"x"), &mut block);
    block[at..at + bytes.len()].copy_from_slice(bytes);
    let right = format!("{:06o}\0 ", sum(block[..].try_into().unwrap()));
    block[field::SUM].copy_from_slice(right.as_bytes());
    block
}

#[test]
fn hostile_headers_are_refused_without_being_held() {
    let huge = [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let negative = [0xff; 12];
    // A size is only a number: what is declared is not reserved.
    assert!(matches!(read(&changed(124, &huge)), Err(Broken::Ended { at_once: false })));
    assert!(matches!(read(&changed(124, &negative)), Err(Broken::Malformed(_))));
    assert!(matches!(read(&changed(124, &[0x80; 12])), Err(Broken::Malformed(_))));
    assert!(matches!(read(&changed(124, b"99999999999\0")), Err(Broken::Malformed(_))));
    for kind in [b"L", b"K", b"x", b"g"] {
        let mut bytes = changed(124, &huge);
        bytes[156] = kind[0];
        let right = format!("{:06o}\0 ", sum(bytes[..].try_into().unwrap()));
        bytes[field::SUM].copy_from_slice(right.as_bytes());
        assert!(matches!(read(&bytes), Err(Broken::Malformed(_))));
    }
    let many = changed(156, b"g").repeat(100);
    assert!(matches!(read(&many), Err(Broken::Malformed(_))));
    assert!(matches!(read(&[b'x'; 1024]), Err(Broken::Malformed(_))));
    assert!(matches!(read(b""), Err(Broken::Ended { at_once: true })));
    for device in [b"3", b"4", b"6", b"S", b"V"] {
        let bytes = [changed(156, device), END.to_vec()].concat();
        assert!(matches!(read(&bytes).unwrap()[0].0.kind, Kind::Other(_)));
    }
}

#[test]
fn random_bytes_do_not_panic() {
    let whole = stream(&[(Member { size: 3, nanoseconds: 1, ..file(&[b'z'; 200]) }, b"abc")]);
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random() % 6 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        for block in bytes.chunks_exact_mut(BLOCK) {
            let right = format!("{:06o}\0 ", sum((&*block).try_into().unwrap()));
            if random() % 2 == 0 {
                block[field::SUM].copy_from_slice(right.as_bytes());
            }
        }
        let _ = read(&bytes);
    }
}

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
        let mut end = 0;
        while let (at, piece @ [_, ..]) = reader.placed()? {
            assert!(at >= end && at + piece.len() as u64 <= member.size, "{member:?}");
            end = at + piece.len() as u64;
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
    announce(12_345, 3, &mut told);
    told.extend(END);
    let mut reader = Reader::new(&told[..]);
    assert!(reader.next().unwrap().is_none());
    assert_eq!((reader.total, reader.sources), (Some(12_345), 3));
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
    for device in [b"3", b"4", b"6", b"V"] {
        let bytes = [changed(156, device), END.to_vec()].concat();
        assert!(matches!(read(&bytes).unwrap()[0].0.kind, Kind::Other(_)));
    }
}

#[test]
fn random_bytes_do_not_panic() {
    let mut whole = mapped("2\n1\n4\n10\n6\n", "16");
    whole.truncate(whole.len() - END.len());
    whole.extend(stream(&[(Member { size: 3, nanoseconds: 1, ..file(&[b'z'; 200]) }, b"abc")]));
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

/// A member with holes, and what it holds, piece by piece where it belongs.
fn read_sparse(bytes: &[u8]) -> Result<(Member, Vec<u8>), Broken> {
    let mut reader = Reader::new(bytes);
    let member = reader.next()?.expect("a member");
    let mut content = vec![0; usize::try_from(member.size).unwrap()];
    loop {
        match reader.placed()? {
            (_, []) => break,
            (at, piece) => content[at as usize..at as usize + piece.len()].copy_from_slice(piece),
        }
    }
    assert!(reader.next()?.is_none());
    Ok((member, content))
}

#[test]
fn files_with_holes_are_read_as_they_are_written() {
    for extents in [&[][..], &[(0, 3)], &[(97, 3)], &[(0, 1), (50, 2), (52, 1), (90, 10)]] {
        let extents: Vec<Extent> = extents.iter().map(|&(at, length)| Extent { at, length }).collect();
        let member = Member { size: 100, ..file(&[&b"d/".repeat(100)[..], b"f"].concat()) };
        let (mut bytes, mut data, mut wanted) = (Vec::new(), Vec::new(), vec![0; 100]);
        sparse_header(&member, &extents, &mut bytes);
        for (number, extent) in extents.iter().enumerate() {
            let piece = vec![number as u8 + 1; extent.length as usize];
            wanted[extent.at as usize..][..piece.len()].copy_from_slice(&piece);
            data.extend(piece);
        }
        bytes.extend(&data);
        bytes.resize(bytes.len() + padding(data.len() as u64), 0);
        bytes.extend_from_slice(&END);
        assert_eq!(
            read_sparse(&bytes).unwrap(),
            (Member { is_sparse: true, ..member }, wanted),
            "{extents:?}"
        );
    }
}

/// A member of the format 1.0 with this map and this size, and ten bytes of data.
fn mapped(map: &str, size: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let records = [("major", "1"), ("minor", "0"), ("name", "x"), ("realsize", size)];
    let records: String = records
        .iter()
        .map(|(key, value)| {
            let rest = format!(" GNU.sparse.{key}={value}\n");
            format!("{}{rest}", rest.len() + 2)
        })
        .collect();
    let map = [map.as_bytes(), &vec![0; padding(map.len() as u64)]].concat();
    for (kind, data) in [(b'x', records.as_bytes()), (b'0', &[&map[..], &[7; 10]].concat())] {
        let mut block = Vec::new();
        header(&Member { size: data.len() as u64, ..file(b"x") }, &mut block);
        block[156] = kind;
        let right = format!("{:06o}\0 ", sum(block[..].try_into().unwrap()));
        block[field::SUM].copy_from_slice(right.as_bytes());
        bytes.extend(block);
        bytes.extend(data);
        bytes.resize(bytes.len() + padding(data.len() as u64), 0);
    }
    bytes.extend_from_slice(&END);
    bytes
}

#[test]
fn hostile_maps_of_holes_are_refused() {
    let (_, content) = read_sparse(&mapped("2\n1\n4\n10\n6\n", "16")).unwrap();
    assert_eq!(content, [0, 7, 7, 7, 7, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7]);
    let far = u64::MAX.to_string();
    for (map, size) in [
        // Not in order, over one another, behind the end, of another sum.
        ("2\n10\n6\n1\n4\n", "16"),
        ("2\n1\n4\n4\n6\n", "16"),
        ("2\n1\n4\n10\n6\n", "15"),
        ("2\n1\n4\n10\n5\n", "16"),
        ("1\n1\n11\n", "16"),
        (&format!("1\n{far}\n10\n"), &far[..]),
        // Endless, cut off, no numbers.
        ("131073\n1\n", "16"),
        (&format!("{far}\n1\n"), "16"),
        ("3\n1\n4\n10\n6\n", "16"),
        ("2\n1\n-4\n10\n6\n", "16"),
        ("", "16"),
        (&"1".repeat(2000), "16"),
    ] {
        assert!(matches!(read_sparse(&mapped(map, size)), Err(Broken::Malformed(_))), "{map} {size}");
    }
    // Of the old format: blocks with more of the map, which hold none of it, for ever.
    let mut old = changed(156, b"S");
    old[field::IS_EXTENDED] = 1;
    let right = format!("{:06o}\0 ", sum(old[..].try_into().unwrap()));
    old[field::SUM].copy_from_slice(right.as_bytes());
    let mut more = vec![0; BLOCK];
    more[field::IS_EXTENDED_AGAIN] = 1;
    let bytes = [old, more, END.to_vec()].concat();
    assert_eq!(read_sparse(&bytes).unwrap().1, b"");
}

"""Links of pictures in a folder for each class."""

from cycada.inference.class_folders import link_by_class, unlink_from_classes


def test_a_picture_of_another_class_leaves_no_link_behind(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"1")
    link_by_class([(picture, "sub" / picture.relative_to(tmp_path), "cat")], tmp_path / "out", ["cat", "dog"])
    assert (tmp_path / "out/cat/sub/a.png").resolve() == picture
    unlink_from_classes("sub" / picture.relative_to(tmp_path), tmp_path / "out", ["cat", "dog"])
    unlink_from_classes("sub" / picture.relative_to(tmp_path), tmp_path / "absent", ["cat", "dog"])
    assert not (tmp_path / "out/cat/sub/a.png").is_symlink()
    assert picture.exists()

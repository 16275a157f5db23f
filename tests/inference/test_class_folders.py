"""Links of pictures in a folder for each class."""

from cycada.inference.class_folders import link_by_class, unlink_others

CLASSES = ["cat", "dog"]


def test_a_picture_of_another_class_leaves_no_link_behind(tmp_path):
    pictures = {name: tmp_path / f"{name}.png" for name in "ab"}
    for name, picture in pictures.items():
        picture.write_text(name)
    out = tmp_path / "out"
    link_by_class([(p, "sub" / p.relative_to(tmp_path), "cat") for p in pictures.values()], out, CLASSES)
    assert (out / "cat/sub/a.png").resolve() == pictures["a"]
    (out / "cat" / "mine.txt").write_text("no link")
    stays = [(pictures["b"], "sub/b.png", "cat"), (pictures["a"], "sub/a.png", "dog")]
    unlink_others(stays, out, CLASSES)
    unlink_others(stays, tmp_path / "absent", CLASSES)
    assert [p.name for p in (out / "cat").rglob("*.*")] == ["mine.txt", "b.png"]
    assert all(picture.exists() for picture in pictures.values())

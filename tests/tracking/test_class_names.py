from cycada.tracking.class_names import MOST_CLASSES, left_out, with_class_names


def test_with_class_names_renames_scores_of_classes_alone():
    others = {"target/miou": 0.3, "loss/1": 2, "x": 1}
    row = {"target/class_iou/1": 0.5, "quality/fcn/st/class_iou/0": 0.1} | others
    named = {"target/class_iou/car": 0.5, "quality/fcn/st/class_iou/road": 0.1}
    assert with_class_names(row, ["road", "car"]) == named | others


def test_with_class_names_keeps_classes_of_one_name_apart():
    named = with_class_names({"target/class_iou/0": 0.5, "target/class_iou/1": 0.4}, ["car", "car"])
    assert named == {"target/class_iou/0 car": 0.5, "target/class_iou/1 car": 0.4}


def test_with_class_names_bounds_the_number_of_metrics_and_left_out_says_so():
    many = [f"class {i}" for i in range(MOST_CLASSES + 1)]
    row = {f"target/class_accuracy/{i}": 0.5 for i in range(len(many))} | {"target/accuracy": 0.5}
    assert with_class_names(row, many) == {"target/accuracy": 0.5}
    assert "scores.json" in left_out(many)
    assert len(with_class_names(row, many[:-1])) == MOST_CLASSES + 2
    assert left_out(many[:-1]) == ""

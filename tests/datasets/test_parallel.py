from lightning_classmix.datasets.parallel import parallel_map


def test_results_come_in_the_order_of_the_items() -> None:
    assert parallel_map(lambda index: index**2, range(50), "") == [
        index**2 for index in range(50)
    ]

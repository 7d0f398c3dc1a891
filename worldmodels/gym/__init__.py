"""World models as Gymnasium environments."""

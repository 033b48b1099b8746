"""What the methods share: settings by name, checked input, a fit that resumes; an encoding that is then clustered."""

from deepcluster_tf.methods.base.backbone import BackboneMethod
from deepcluster_tf.methods.base.encoding import EncodingMethod
from deepcluster_tf.methods.base.method import Method, whole_or_nothing
from deepcluster_tf.methods.base.parts import part

__all__ = ["BackboneMethod", "EncodingMethod", "Method", "part", "whole_or_nothing"]

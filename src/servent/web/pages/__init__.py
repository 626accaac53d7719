"""The screens. Each is one function that draws into the frame; what moves fast is drawn by our own elements."""
